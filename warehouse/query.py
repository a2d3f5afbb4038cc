"""Questions to the marts: the tier table, any SELECT, and how fresh everything is.

Readers open ``marts.duckdb`` read-only through an in-memory DuckDB, which may read the lake's files and nothing else,
so they neither wait for a build nor disturb one.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import pyarrow as pa

from ladder.errors import UsageError
from ladder.rates import drop_off
from ladder.tiers import Ladder
from warehouse.batches import Batch, Batches
from warehouse.built import MARTS, ladder_hash, read_built

if TYPE_CHECKING:  # it takes half a second to load, and most questions need no lake
    from warehouse.lake import Lake

Unit = Literal["session", "visitor"]


@dataclass(frozen=True)
class TierRow:
    """One tier: counts of units, and ``1 - yes/asked`` with the ends of its 95 % interval (0, 0 to 1 for asked = 0)."""

    tier: int
    name: str
    asked: int
    yes: int
    no: int
    silent: int
    implicit: int
    drop_off: float
    drop_off_low: float
    drop_off_high: float
    reached: int
    reached_next: int


@dataclass(frozen=True)
class TierTable:
    """All tiers of the ladder, lowest first."""

    unit: Unit
    tiers: tuple[TierRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """For ``yesladder tiers --json``."""
        return asdict(self)


@dataclass(frozen=True)
class StepRow:
    """One step of a tier over all dates; counts and rate as in ``TierRow``."""

    tier: int
    step: str
    unit: Unit
    asked: int
    yes: int
    no: int
    silent: int
    drop_off: float
    drop_off_low: float
    drop_off_high: float


@dataclass(frozen=True)
class Freshness:
    """How far the marts are behind.

    ``unbuilt_files``: files of the lake that no build has seen, without those held back.  ``last_look``: what the
    quality gate said last.
    """

    built_at: datetime
    was_full: bool
    ladder: str
    sessions: int
    visitors: int
    unbuilt_files: int
    held_back: tuple[Batch, ...]
    last_look: Batch | None


def tiers(warehouse: Path, ladder: Ladder, unit: str) -> TierTable:
    """The drop-off per tier; a tier that nobody met has zeros.

    Raises ``UsageError`` for another unit than session and visitor, and where no marts were built with this ladder.
    """
    checked = checked_unit(unit)
    with open_marts(warehouse, ladder) as marts:
        rows = marts.execute(
            "select tier, tier_name, asked, yes, no, silent, implicit, drop_off, drop_off_low, drop_off_high,"
            " reached, reached_next from main.fct_tier_totals where unit = ? order by tier",
            [checked],
        ).fetchall()
    return TierTable(checked, tuple(TierRow(*row) for row in rows))


def steps(warehouse: Path, ladder: Ladder, unit: str) -> tuple[StepRow, ...]:
    """The drop-off per step that anyone was asked or said yes to, by tier and name.  Raises as ``tiers`` does."""
    checked = checked_unit(unit)
    with open_marts(warehouse, ladder) as marts:
        rows = marts.execute(
            "select tier, step, sum(asked)::bigint, sum(yes)::bigint, sum(no)::bigint, sum(silent)::bigint"
            " from main.fct_step_dropoff where unit = ? group by tier, step order by tier, step",
            [checked],
        ).fetchall()
    return tuple(
        StepRow(tier, step, checked, asked, yes, no, silent, *drop_off(yes, asked))
        for tier, step, asked, yes, no, silent in rows
    )


def run_sql(warehouse: Path, sql: str) -> pa.Table:
    """The rows of one SELECT (or DESCRIBE, SHOW, SUMMARIZE, EXPLAIN) over the marts and the lake's views.

    Times are UTC.  Raises ``UsageError`` for anything that is not one reading statement, and for what DuckDB refuses.
    """
    check_reads_only(sql)
    with open_marts(warehouse) as marts:
        try:
            return marts.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise UsageError(f"the query cannot be run: {_first_lines(error)}") from None


def check_reads_only(sql: str) -> None:
    """Raise ``UsageError`` unless this is one statement that only reads."""
    try:
        statements = duckdb.extract_statements(sql)
        explained = _EXPLAIN.sub("", sql, count=1)
        if explained != sql:
            statements += duckdb.extract_statements(explained)
    except duckdb.Error as error:
        raise UsageError(f"the query cannot be read: {_first_lines(error)}") from None
    kinds = [statement.type.name for statement in statements]
    if not kinds:
        raise UsageError("the query is empty")
    if kinds not in (["SELECT"], ["EXPLAIN", "SELECT"]):
        raise UsageError(
            f"only one statement that reads can be run here, such as SELECT; this is {' and '.join(kinds)}"
        )


def freshness(lake: Lake) -> Freshness:
    """How the marts beside this lake stand.  Raises ``UsageError`` where nothing was built yet."""
    warehouse = lake.root.parent
    with open_marts(warehouse) as marts:
        built_at, was_full, ladder, sessions, visitors = marts.execute(
            "select finished_at, is_full, ladder, sessions, visitors from main.meta_builds order by build desc limit 1"
        ).fetchall()[0]
    batches = Batches(warehouse / "quality")
    built = read_built(warehouse / MARTS)
    seen = batches.files("held").union(*(built.files.values() if built is not None else ()))
    unbuilt = sum(
        f"{table}/{Path(file).relative_to(lake.root / table).as_posix()}" not in seen
        for table in lake.versions()
        for file in lake.files(table)
    )
    return Freshness(
        built_at,
        was_full,
        ladder,
        sessions,
        visitors,
        unbuilt,
        tuple(batches.of_state("held")),
        batches.latest(),
    )


@contextmanager
def open_marts(warehouse: Path, ladder: Ladder | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the marts as they are now, read-only, in UTC, locked to this warehouse's files.

    Raises ``UsageError`` where nothing was built yet, or not with this ladder.
    """
    marts = warehouse / MARTS
    if not marts.exists():
        raise UsageError(f"{warehouse} has no marts yet: run `yesladder build`")
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set autoinstall_known_extensions = false")
        connection.execute(f"attach {_text(marts)} as marts (read_only)")
        connection.execute("use marts")
        built = connection.execute(
            "select lake, ladder, ladder_hash from main.meta_builds order by build desc limit 1"
        ).fetchall()
        if not built:
            raise UsageError(f"{marts} holds no finished build: run `yesladder build --full`")
        lake, name, digest = built[0]
        if ladder is not None and digest != ladder_hash(ladder):
            now = f"ladder {ladder.name!r}" if ladder.name != name else "this ladder, which has changed since"
            raise UsageError(f"{marts} was built with the ladder {name!r}: run `yesladder build` to have it for {now}")
        # Both as it is and as the views write it, where brackets would otherwise be a pattern.
        allowed = ", ".join(_text(Path(form)) for form in (lake, glob.escape(lake)))
        connection.execute(f"set allowed_directories = [{allowed}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection
    finally:
        connection.close()


def checked_unit(unit: str) -> Unit:
    """The unit of this name.  Raises ``UsageError`` for any other."""
    if unit == "session":
        return "session"
    if unit == "visitor":
        return "visitor"
    raise UsageError(f"--unit {unit}: there are session and visitor")


_EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?\b", re.IGNORECASE)


def _first_lines(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n\n")[0].split())


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
