"""Questions to the marts: the tier table, any SELECT, and how fresh everything is.

Readers open ``marts.duckdb`` read-only through an in-memory DuckDB, which may read the lake's files and nothing else,
so they neither wait for a build nor disturb one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import pyarrow as pa

from ladder.errors import UsageError
from ladder.rates import Rate, drop_off, wilson
from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.alerts_table import show_alerts
from warehouse.batches import Batch, Batches
from warehouse.built import MARTS, ladder_hash
from warehouse.opened import Marts, now_reading

if TYPE_CHECKING:  # it takes half a second to load, and most questions need no lake
    from warehouse.lake import Lake

Unit = Literal["session", "visitor"]


@dataclass(frozen=True)
class TierRow:
    """One tier: counts of units, and shares of them with the ends of their 95 % intervals (0, 0 to 1 for none of none).

    ``drop_off``: ``1 - yes/asked``.  ``in_flight``: of the asked without a yes, visitors whose first ask's conversion
    window has not passed.  ``matured``: of the asked, those whose window has; ``matured_yes`` of them said yes in it.
    ``reached_next_share``: of the reached; None where the ladder has no next tier.
    """

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
    reached_next_share: float | None
    reached_next_share_low: float | None
    reached_next_share_high: float | None
    in_flight: int
    matured: int
    matured_yes: int
    matured_drop_off: float
    matured_drop_off_low: float
    matured_drop_off_high: float


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
    """One step of a tier over all dates; counts and shares as in ``TierRow``."""

    tier: int
    step: str
    unit: Unit
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
    reached_next_share: float | None
    reached_next_share_low: float | None
    reached_next_share_high: float | None
    in_flight: int
    matured: int
    matured_yes: int
    matured_drop_off: float
    matured_drop_off_low: float
    matured_drop_off_high: float


COUNTS = (
    "asked", "yes", "no", "silent", "implicit", "reached", "reached_next", "in_flight", "matured", "matured_yes",
)  # fmt: skip
"""What the drop-off marts count; sums over dates, or over the values of a segment, are counts again."""

SUMS = ", ".join(f'coalesce(sum("{name}"), 0)::bigint' for name in COUNTS)


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
            f"select tier, {SUMS} from main.fct_tier_totals where unit = ? group by tier order by tier", [checked]
        ).fetchall()
    return TierTable(checked, tuple(tier_row(ladder, tier, counts) for tier, *counts in rows))


def steps(warehouse: Path, ladder: Ladder, unit: str) -> tuple[StepRow, ...]:
    """The drop-off per step that anyone was asked or said yes to, by tier and name.  Raises as ``tiers`` does."""
    checked = checked_unit(unit)
    with open_marts(warehouse, ladder) as marts:
        rows = marts.execute(
            f"select tier, step, {SUMS} from main.fct_step_dropoff where unit = ? and segment = 'all'"
            " group by tier, step order by tier, step",
            [checked],
        ).fetchall()
    return tuple(step_row(ladder, tier, step, checked, counts) for tier, step, *counts in rows)


def tier_row(ladder: Ladder, tier: int, counts: Sequence[int]) -> TierRow:
    """A tier with the counts named in ``COUNTS``, and the shares that follow from them."""
    return TierRow(tier=tier, name=ladder.tiers[tier - 1], **_counted(ladder, tier, counts))


def step_row(ladder: Ladder, tier: int, step: str, unit: Unit, counts: Sequence[int]) -> StepRow:
    """As ``tier_row``, of one step."""
    return StepRow(tier=tier, step=step, unit=unit, **_counted(ladder, tier, counts))


def run_sql(warehouse: Path, sql: str, *, most: int | None = None) -> pa.Table:
    """The rows of one SELECT (or DESCRIBE, SHOW, SUMMARIZE, EXPLAIN) over the marts and the lake's views.

    ``most``: so many of them, and the others are not held in memory; None: all.  Times are UTC.
    Raises ``UsageError`` for anything that is not one reading statement, and for what DuckDB refuses.
    """
    check_reads_only(sql)
    with open_marts(warehouse) as marts:
        if "alerts" in sql.lower():
            show_alerts(marts, warehouse)
        try:
            rows = marts.sql(sql)
            return (rows if most is None else rows.limit(most)).to_arrow_table()
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
        built = marts.execute("select file from main.meta_files").fetchall()
    batches = Batches(warehouse / "quality")
    seen = batches.files("held").union(file for (file,) in built)
    unbuilt = sum(
        f"{table}/{Path(file).relative_to(lake.root / table).as_posix()}" not in seen
        for table in TABLES
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

    Within ``warehouse.opened.KeptMarts.reading`` the marts of that reading.  Raises ``UsageError`` where nothing was
    built yet, or not with this ladder.
    """
    reading = now_reading(warehouse)
    marts = Marts(warehouse) if reading is None else reading.marts
    try:
        if ladder is not None and marts.ladder_hash != ladder_hash(ladder):
            name = marts.ladder
            now = f"ladder {ladder.name!r}" if ladder.name != name else "this ladder, which has changed since"
            raise UsageError(
                f"{warehouse / MARTS} was built with the ladder {name!r}: run `yesladder build` to have it for {now}"
            )
        connection = marts.connect() if reading is None else reading.connect()
        try:
            yield connection
        finally:
            connection.close()
    finally:
        if reading is None:
            marts.close()


def checked_unit(unit: str) -> Unit:
    """The unit of this name.  Raises ``UsageError`` for any other."""
    if unit == "session":
        return "session"
    if unit == "visitor":
        return "visitor"
    raise UsageError(f"--unit {unit}: there are session and visitor")


def _counted(ladder: Ladder, tier: int, counts: Sequence[int]) -> dict[str, Any]:
    """All fields of a row but those that say which it is."""
    found = dict(zip(COUNTS, counts, strict=True))
    onwards = wilson(found["reached_next"], found["reached"]) if ladder.next_tier(tier) is not None else None
    return {
        **found,
        **_shares("drop_off", drop_off(found["yes"], found["asked"])),
        **_shares("matured_drop_off", drop_off(found["matured_yes"], found["matured"])),
        **_shares("reached_next_share", onwards),
    }


def _shares(name: str, share: Rate | None) -> dict[str, float | None]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), share or (None, None, None), strict=True))


_EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?\b", re.IGNORECASE)


def _first_lines(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n\n")[0].split())
