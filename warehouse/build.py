"""``yesladder build``: what landed goes through the quality gate, then dbt renews the marts.

The marts are built on a copy that takes their place at the end, so readers never wait, and a build that fails leaves
the last good marts as they were.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb
import msgspec

from ladder.errors import YesladderError
from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.batches import Batch, Batches
from warehouse.built import BUILDING, MARTS, Built, ladder_hash, read_built, write_built
from warehouse.dbt_runs import DbtError, dbt_build, prepare, project_hash
from warehouse.lake import Lake
from warehouse.lake_copies import COPIES_STAY, forget_copies
from warehouse.landed import Commit, change, read_commits, versions_of
from warehouse.locks import build_lock
from warehouse.quality import Gate
from warehouse.spark_marts import build_on_spark
from warehouse.spark_session import Spark, check_spark
from warehouse.standing import JUDGED_APART, noted, standings
from warehouse.tallies import note_events
from warehouse.views import create_ladder_tables, create_lake_views

Progress = Callable[[str], None]
"""Told in a few words what is being done now."""

Files = Mapping[str, frozenset[str]]


class Kept(Protocol):
    """What else is kept in the marts' file and brought up to date by every build."""

    def is_due(self, marts: Path) -> bool:
        """Whether there is something to do to these marts though nothing has landed."""

    def renew(self, marts: duckdb.DuckDBPyConnection) -> None:
        """Do it, in the file that will take the marts' place; ``meta_builds`` has this build's row already."""


class BuildError(YesladderError):
    """The marts could not be renewed and stay as they were; the message names the model or test."""


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    ``built``: the marts were renewed; False where there was nothing new to build.  ``full``: from scratch; ``why``.
    ``held_back``: the batches that the gate keeps out of the marts, newest first.  ``landed``: rows by table that
    passed the gate just now.  ``warnings``: what data tests found odd without being wrong.  ``seconds``: by part.
    """

    built: bool
    full: bool
    why: str
    held_back: tuple[Batch, ...]
    landed: Mapping[str, int]
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    def summary(self) -> str:
        """One line for people, with a further one per warning."""
        took = f"{sum(self.seconds.values()):.1f} s"
        if not self.built:
            return f"nothing new to build ({took})"
        new = ", ".join(f"{rows:,} {table}" for table, rows in self.landed.items() if rows) or "no rows"
        how = f"from scratch, since {self.why}" if self.full else "with what is new"
        return "\n".join([f"marts built {how}: {new} new ({took})", *(f"warning: {text}" for text in self.warnings)])

    def held_back_message(self) -> str:
        """What is held back and why, and what to do about it."""
        return "\n".join(
            [
                *(batch.describe() for batch in self.held_back),
                "the marts were built without it; mend its source and land it again, or let it in as it is with"
                " `yesladder build --accept` (its pages: quality/index.html in the warehouse)",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "built": self.built,
            "full": self.full,
            "why": self.why,
            "landed": dict(self.landed),
            "held_back": [msgspec.to_builtins(batch) for batch in self.held_back],
            "warnings": list(self.warnings),
            "seconds": {part: round(taken, 3) for part, taken in self.seconds.items()},
        }


@dataclass(frozen=True)
class _Plan:
    """``current``: all files of the lake.  ``unbuilt``: those not in the marts, ``to_check`` those to look at first."""

    current: Files
    versions: Mapping[str, int]
    unbuilt: Files
    to_check: Files
    full: bool
    why: str


def build(
    lake: Lake,
    ladder: Ladder,
    *,
    full: bool = False,
    accept: bool = False,
    gate: Gate | None = None,
    progress: Progress | None = None,
    now: datetime,
    patience_s: float = 0,
    kept: Kept | None = None,
    spark: Spark | None = None,
) -> BuildResult:
    """Bring the marts beside the lake up to date: incrementally, or from scratch where they cannot be mended.

    They are built from scratch when ``full`` says so, on the first build, and when the ladder, the SQL or rows already
    built have changed.  ``accept`` lets all batches in that are held back now.  ``gate``: one that is loaded already
    (else one is started where needed).  The folder above ``lake.root`` is the warehouse.
    ``patience_s``: how long to wait for another build to end.  ``kept``: what is kept beside the marts' own tables.
    ``spark``: where it is given, the SQL runs on Spark, which builds from scratch whatever is new.
    Raises ``Locked``, ``BuildError`` and ``GateError``; a batch that fails is no error but in the result.
    """
    if spark is not None:
        check_spark(spark)
    warehouse = lake.root.parent
    tell = progress or (lambda words: None)
    clock = _Clock()
    with build_lock(warehouse, now, patience_s=patience_s), ExitStack() as stack:
        batches = Batches(warehouse / "quality")
        if accept:
            batches.accept_held()
        marts = warehouse / MARTS
        last = read_built(marts)
        plan = _plan(lake, ladder, last, batches, full)
        tell("fetching what has landed")
        lake.fetch(str(lake.root / file) for files in plan.current.values() for file in files)
        clock.lap("look")

        building = warehouse / BUILDING / f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}" / MARTS
        work = warehouse / "dbt"
        landed: Mapping[str, int] = {}
        if any(plan.to_check.values()):
            tell("looking at what has landed")
            gate = gate or stack.enter_context(Gate())
            landed = _judge(gate, lake, ladder, plan, batches, now, lambda: prepare(work))
        clock.lap("quality")

        held = batches.files("held")
        known = {table: files - plan.unbuilt[table] for table, files in plan.current.items()}
        new = {table: files - held for table, files in plan.unbuilt.items()}
        result = BuildResult(
            built=False,
            full=plan.full,
            why=plan.why,
            held_back=tuple(batches.of_state("held")),
            landed=landed,
            warnings=(),
            seconds={},
        )
        same = last is not None and not plan.full and last.root == str(lake.root) and _union(known, new) == last.files
        if same and (kept is None or not kept.is_due(marts)):
            return replace(result, seconds=clock.seconds)

        if spark is not None and not same and not plan.full:
            plan = replace(plan, full=True, why="Spark always does")
            result = replace(result, full=True, why=plan.why)
        _begin(building, marts, lake, ladder, plan.full, known, new)
        warnings: list[str] = []
        if not same:
            files = _union(known, new)

            def hear(node: str, done: int, total: int) -> None:
                tell(f"{node} ({done} of {total})")

            try:
                if spark is not None:
                    tell("starting Spark")
                    warnings += build_on_spark(building, work, lake.root, files, ladder, spark=spark, on_node=hear)
                else:
                    warnings += dbt_build(building, work, full=plan.full, on_node=hear)
            except DbtError as error:
                raise BuildError(f"the marts were not renewed: {error}") from error
        clock.lap("sql")
        built = Built(
            started_at=now,
            finished_at=now + timedelta(seconds=sum(clock.seconds.values())),
            full=plan.full,
            ladder=ladder.name,
            ladder_hash=ladder_hash(ladder),
            project_hash=project_hash(),
            root=str(lake.root),
            versions=plan.versions,
            files=_union(known, new),
        )
        if kept is not None:
            tell("saved funnels")
        warnings += _finish(building, marts, built, kept)
        forget_copies(lake, built.all_files, older_than=COPIES_STAY)
        clock.lap("swap")
        return replace(result, built=True, warnings=tuple(warnings), seconds=clock.seconds)


def _plan(lake: Lake, ladder: Ladder, last: Built | None, batches: Batches, full: bool) -> _Plan:
    """Compare the lake with what the marts were built from.

    The sessions' files are listed first: the stream commits them last, so their events are always listed too.
    """
    versions: dict[str, int] = {}
    current: dict[str, frozenset[str]] = {}
    for table in sorted(TABLES, key=lambda name: name != "sessions"):
        versions[table], files = lake.version_and_files(table)
        current[table] = frozenset(f"{table}/{_relative(file, lake.root / table)}" for file in files)
    batches.give_up_replaced(frozenset().union(*current.values()))
    unbuilt = dict(current)
    rows_removed = False
    if last is not None:
        for table in TABLES:
            done = change(
                last.files.get(table, frozenset()),
                current[table],
                lambda table=table: _commits(lake, table, last, versions[table]),  # type: ignore[misc]
            )
            unbuilt[table] = done.new
            rows_removed |= done.rows_removed and table in ("events", "sessions")
    looked_at = batches.files("held") | batches.files("accepted")
    looked_at |= {file for files in current.values() for file in files if noted(file) == "accepted"}
    why = _why_full(ladder, last, full, rows_removed)
    return _Plan(
        current,
        versions,
        unbuilt,
        {table: files - looked_at for table, files in unbuilt.items()},
        bool(why),
        why or "new rows only",
    )


def _why_full(ladder: Ladder, last: Built | None, full: bool, rows_removed: bool) -> str:
    """Why the marts must be built from scratch; empty where they need not."""
    if last is None:
        return "there are no marts yet"
    if full:
        return "it was asked for"
    if last.ladder_hash != ladder_hash(ladder):
        return "the ladder has changed"
    if last.project_hash != project_hash():
        return "the SQL has changed"
    return "rows that were built are gone from the lake" if rows_removed else ""


def _judge(
    gate: Gate,
    lake: Lake,
    ladder: Ladder,
    plan: _Plan,
    batches: Batches,
    now: datetime,
    meanwhile: Callable[[], None],
) -> Mapping[str, int]:
    """Have the gate look at what is to be checked, each standing by itself, and keep its verdicts.

    Returns the rows that passed, by table.  What was held before is no hold on what has landed since, and neither is a
    hold on rows that had passed.
    """
    standing = standings(lake)
    stands = {file: standing(file) for files in plan.to_check.values() for file in files}
    known = {table: files - plan.unbuilt[table] for table, files in plan.current.items()}
    passed: Counter[str] = Counter()
    for kind in JUDGED_APART:
        to_check = {
            table: frozenset(file for file in files if stands[file] == kind) for table, files in plan.to_check.items()
        }
        if not any(to_check.values()):
            continue
        name = gate.ask(lake.root, ladder, to_check, known, batches, now)
        meanwhile()
        batch = gate.answer(name, to_check, now)
        if batch.state == "held":
            found = {
                table: versions_of(
                    partial(lake.entry, table), [file.removeprefix(f"{table}/") for file in files], version
                )
                for table, files in batch.files.items()
                for version in [plan.versions[table]]
            }
            batch = replace(batch, versions={table: ends for table, ends in found.items() if ends is not None})
        else:
            known = _union(known, to_check)
            passed.update(batch.rows)
        batches.record(batch)
    return dict(passed)


def _begin(building: Path, marts: Path, lake: Lake, ladder: Ladder, full: bool, known: Files, new: Files) -> None:
    """The file to build on: empty or a copy of the marts, with the lake as it is now.

    Each build has a folder of its own: DuckDB hands out one instance per path and process, also when the file is gone.
    """
    shutil.rmtree(building.parent.parent, ignore_errors=True)
    building.parent.mkdir(parents=True)
    if not full:
        shutil.copyfile(marts, building)
    connection = duckdb.connect(str(building))
    try:
        nothing: Files = {table: frozenset() for table in TABLES}
        create_lake_views(connection, lake.root, *((nothing, _union(known, new)) if full else (known, new)))
        create_ladder_tables(connection, ladder)
    finally:
        connection.close()


def _finish(building: Path, marts: Path, built: Built, kept: Kept | None) -> list[str]:
    """Write down what was built, renew what is kept beside it, and let the new file take the old one's place.

    Returns what people should know.
    """
    connection = duckdb.connect(str(building))
    try:
        left_out = connection.execute(
            "select ladder, count(*) from lake.sessions where ladder <> ? group by ladder order by ladder",
            [built.ladder],
        ).fetchall()
        write_built(connection, built, marts)
        note_events(connection)
        if kept is not None:
            kept.renew(connection)
        connection.execute("checkpoint")
    finally:
        connection.close()
    with building.open("rb") as file:
        os.fsync(file.fileno())
    building.replace(marts)
    shutil.rmtree(building.parent.parent, ignore_errors=True)
    return [f"{count:,} sessions are left out: they were cut by the ladder {ladder!r}" for ladder, count in left_out]


def _commits(lake: Lake, table: str, last: Built, until: int) -> list[Commit] | None:
    after = last.versions.get(table)
    commits = None if after is None else read_commits(partial(lake.entry, table), after, until)
    if commits is None:
        return None
    return [
        replace(
            commit,
            added=frozenset(f"{table}/{path}" for path in commit.added),
            removed=frozenset(f"{table}/{path}" for path in commit.removed),
        )
        for commit in commits
    ]


def _relative(file: str, folder: Path) -> str:
    return Path(file).relative_to(folder).as_posix()


def _union(one: Files, other: Files) -> dict[str, frozenset[str]]:
    return {table: one[table] | other[table] for table in TABLES}


class _Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = now - self._since
        self._since = now
