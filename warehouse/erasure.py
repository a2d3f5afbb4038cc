"""``yesladder erase``: a person leaves the warehouse, and nothing of theirs from before comes back.

In this order, so that it may be cut short at any instant and gone on with: while no writer commits, everything that the
ids lead to is looked up and written down as erased, and from then on no writer lands their rows; the lake's files are
rewritten; the gate's pages of the files that were replaced go; the marts are built anew; the files that were replaced
are deleted at once.  The receipt keeps salted hashes.  Until it is done it keeps the ids, too, or what is left could
not be found again.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import polars as pl

from ladder.errors import UsageError
from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.anonymous import anonymised
from warehouse.batches import Batches, State
from warehouse.build import build
from warehouse.built import BUILDING, MARTS, read_built
from warehouse.data_docs import write_batch_index
from warehouse.erased import ERASURES, Erased, Mode, people_of, receipts, salt_of, unfinished, write_receipt
from warehouse.lake import Lake
from warehouse.locks import build_lock
from warehouse.mentions import SOUGHT_FROM, blotted, ids_in_letter
from warehouse.quality import Gate
from warehouse.retention import rewrite
from warehouse.standing import files_in_marts
from warehouse.vacuum import vacuum

CROWD = 20
"""More visitors than one person has: ids that link so many are shared, and someone must say that it is meant."""

_NOBODY = frozenset({
    "", "0", "-1", "undefined", "null", "none", "nil", "nan", "n/a", "na", "unknown", "anonymous", "anon", "guest",
    "user", "visitor", "customer", "test", "true", "false", "[object object]", "00000000-0000-0000-0000-000000000000",
})  # fmt: skip
"""What senders write where they do not know who it is; it links nobody."""

_PATIENCE_S = 600.0
_WRITERS_PATIENCE_S = 60.0

_TAKEN = (
    "<!DOCTYPE html><meta charset=utf-8><title>Taken away</title><p>What stood here went with rows that were erased.\n"
)


@dataclass(frozen=True)
class Found:
    """What is known of a person: all ids, and how many rows of each table carry one of them."""

    visitors: tuple[str, ...]
    users: tuple[str, ...]
    rows: Mapping[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.visitors, *self.users]))

    def summary(self) -> str:
        counts = ", ".join(f"{rows:,} {table}" for table, rows in self.rows.items())
        lines = [
            f"visitor ids: {', '.join(self.visitors) or 'none'}",
            f"user ids: {', '.join(self.users) or 'none'}",
            counts,
        ]
        if len(self.visitors) > CROWD:
            lines.append(f"so many share an id; to go on with all of them: --linked {len(self.visitors)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Receipt:
    """What was done, without saying about whom: ``people`` are salted hashes of the ids.

    ``erased_at``: rows of theirs from before it are refused.  ``rows``: by table, erased or made anonymous, over all
    tries where one was cut short.  ``files_deleted``: from the lake, by the last one.  ``pages``: of the quality gate,
    emptied.
    """

    name: str
    mode: Mode
    erased_at: datetime
    people: tuple[str, ...]
    rows: Mapping[str, int]
    files_deleted: int
    pages: int
    marts_rebuilt: bool

    def summary(self) -> str:
        verb = "erased" if self.mode == "erase" else "made anonymous"
        counts = ", ".join(f"{rows:,} {table}" for table, rows in self.rows.items())
        return f"{verb}: {counts}; {self.files_deleted:,} files deleted; receipt: {ERASURES}/{self.name}.json"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"erased_at": self.erased_at.isoformat()}


def find(lake: Lake, names: Collection[str]) -> Found:
    """Everybody these ids lead to: users seen with the visitors, the visitors seen with those users, and so on.

    Raises ``UsageError`` for an id that neither an event, a session nor a dead letter of the lake has, and for one that
    senders write for nobody in particular.
    """
    _refuse_nobody(names)
    linked = _linked(lake, names)
    rows = _count(lake, linked.ids, None)
    if unknown := sorted(linked.unknown - _in_letters(lake)):
        raise UsageError(f"{', '.join(unknown)}: nothing in this lake has such a visitor or user id")
    return Found(tuple(sorted(linked.visitors)), tuple(sorted(linked.users)), rows)


def erase(
    lake: Lake,
    ladder: Ladder,
    names: Collection[str],
    *,
    mode: Mode = "erase",
    linked: int | None = None,
    gate: Gate | None = None,
    progress: Callable[[str], None] = lambda words: None,
    clock: Callable[[], datetime],
) -> Receipt:
    """Take the person whom these ids lead to out of the warehouse, at once and for good.

    ``anonymise`` keeps the rows that have landed, under new ids.  ``linked``: how many visitors it may be where they
    are more than ``CROWD``.  ``gate``: as for ``build``.
    Raises ``UsageError`` where the ids lead to more, the marts are another ladder's, or an erasure that was cut short
    is to be ended first (nothing has changed then), what ``build`` raises, and ``YesladderError`` where a writer never
    pauses: then ``resume`` it.
    """
    _refuse_nobody(names)
    warehouse = lake.root.parent
    _refuse_another_ladder(warehouse, ladder)
    with lake.upkeep(clock(), patience_s=_PATIENCE_S):
        lake.erasures.pull()
        if unfinished(warehouse):
            raise UsageError("an earlier erasure was cut short: `yesladder erase` without an id ends it")
        salt_of(warehouse)
        now = clock()
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        empty: dict[str, Any] = {"mode": mode, "ids": [], "key": secrets.token_hex(32), "rows": {}, "linked": 0}
        _have_refused(lake, name, empty, names, linked, clock)
        return _carry_out(lake, ladder, name, gate, progress, clock)


def resume(
    lake: Lake,
    ladder: Ladder,
    name: str,
    *,
    linked: int | None = None,
    gate: Gate | None = None,
    progress: Callable[[str], None] = lambda words: None,
    clock: Callable[[], datetime],
) -> Receipt:
    """End an erasure that was cut short (one of ``unfinished``), with what the person did or was linked to since.

    Arguments and errors are those of ``erase``.
    """
    warehouse = lake.root.parent
    _refuse_another_ladder(warehouse, ladder)
    with lake.upkeep(clock(), patience_s=_PATIENCE_S):
        lake.erasures.pull()
        begun = unfinished(warehouse).get(name)
        if begun is None:
            raise UsageError(f"{ERASURES}/{name}.json is no erasure that was cut short")
        _have_refused(lake, name, begun, begun["ids"], linked, clock)
        return _carry_out(lake, ladder, name, gate, progress, clock)


def _have_refused(
    lake: Lake,
    name: str,
    begun: Mapping[str, Any],
    names: Collection[str],
    linked: int | None,
    clock: Callable[[], datetime],
) -> None:
    """Look up all that the ids lead to, and have every later commit of every writer refuse it.

    In an object store nobody can be kept waiting: what landed between the looking up and the refusing is found by
    looking again.
    """
    with lake.nobody_writing(_WRITERS_PATIENCE_S):
        known: Mapping[str, Any] = {}
        while True:
            written = _write_down(lake, name, begun, names, linked, clock())
            lake.erasures.tell()
            if lake.store is None or (written["ids"], written["rows"]) == (known.get("ids"), known.get("rows")):
                return
            known, names = written, written["ids"]


def _write_down(
    lake: Lake, name: str, begun: Mapping[str, Any], names: Collection[str], linked: int | None, now: datetime
) -> dict[str, Any]:
    """While nobody writes: look up all that the ids lead to, and have every later commit refuse it.

    Whatever has landed of theirs is from before the erasure, also where a clock of theirs ran ahead.
    """
    found = _linked(lake, names)
    allowed = max(CROWD, begun["linked"], linked or 0)
    if len(found.visitors) > allowed:
        raise UsageError(
            f"these ids lead to {len(found.visitors):,} visitors and {len(found.users):,} users, more than one person"
            f" is: look with --dry-run, and repeat the number to erase all of them (--linked {len(found.visitors)})"
        )
    before = None if not begun["ids"] else (frozenset(begun["ids"]), datetime.fromisoformat(begun["erased_at"]))
    until = now if found.latest is None else max(now, found.latest + timedelta(microseconds=1))
    if before is not None:
        until = max(until, before[1])
    more = _count(lake, found.ids, before)
    warehouse = lake.root.parent
    receipt = {
        "mode": begun["mode"],
        "erased_at": until.isoformat(),
        "people": people_of(found.ids, salt_of(warehouse)),
        "rows": {table: begun["rows"].get(table, 0) + count for table, count in more.items()},
        "ids": sorted(found.ids),
        "key": begun["key"],
        "linked": max(len(found.visitors), begun["linked"]),
    }
    write_receipt(warehouse, name, receipt)
    return receipt


def _carry_out(
    lake: Lake,
    ladder: Ladder,
    name: str,
    gate: Gate | None,
    progress: Callable[[str], None],
    clock: Callable[[], datetime],
) -> Receipt:
    """What is written down; any part of it that is done already finds nothing to do."""
    warehouse = lake.root.parent
    begun = receipts(warehouse)[name]
    progress("rewriting the lake")
    _rewrite(lake, ladder, begun, clock)
    progress("emptying pages of the quality gate")
    with build_lock(warehouse, clock(), patience_s=_PATIENCE_S):  # a build that read the old files has ended
        pages = _empty_pages(lake)
        with suppress(FileNotFoundError):
            shutil.rmtree(warehouse / BUILDING)  # of one that died
    rebuilt = (warehouse / MARTS).exists()
    if rebuilt:
        build(lake, ladder, full=True, gate=gate, progress=progress, now=clock(), patience_s=_PATIENCE_S)
    progress("deleting files")
    with build_lock(warehouse, clock(), patience_s=_PATIENCE_S):
        gone = vacuum(lake, files_in_marts(lake), keep=timedelta(0), now=clock())
    at = datetime.fromisoformat(begun["erased_at"])
    people = tuple(begun["people"])
    done = Receipt(name, begun["mode"], at, people, begun["rows"], gone.files, pages, rebuilt)
    write_receipt(warehouse, name, done.to_dict())
    lake.erasures.tell()
    return done


@dataclass(frozen=True)
class _Linked:
    """``unknown``: those of the names that no event or session has.  ``latest``: the last moment of any of theirs."""

    ids: frozenset[str]
    visitors: frozenset[str]
    users: frozenset[str]
    unknown: frozenset[str]
    latest: datetime | None


def _linked(lake: Lake, names: Collection[str]) -> _Linked:
    links = pl.concat(
        lake.scan(table).group_by("visitor_id", "user_id").agg(latest=pl.max(column)).collect()
        for table, column in (("events", "occurred_at"), ("sessions", "ended_at"))
    )
    ids = set(names)
    while True:
        touched = links.filter(_theirs(ids))
        more = ids | _people(touched["visitor_id"]) | _people(touched["user_id"])
        if more == ids:
            break
        ids = more
    visitors, users = _people(touched["visitor_id"]), _people(touched["user_id"])
    latest = touched["latest"].max()
    return _Linked(
        frozenset(ids),
        frozenset(visitors),
        frozenset(users),
        frozenset(ids - visitors - users),
        latest if isinstance(latest, datetime) else None,
    )


def _people(ids: pl.Series) -> set[str]:
    return {one for one in ids.drop_nulls().unique() if not _is_nobody(one)}


def _is_nobody(one: str) -> bool:
    return one.strip().casefold() in _NOBODY


def _refuse_nobody(names: Iterable[str]) -> None:
    for one in names:
        if _is_nobody(one):
            raise UsageError(f"{one!r} is written for anybody whom a sender does not know; it is nobody's id")


def _refuse_another_ladder(warehouse: Path, ladder: Ladder) -> None:
    """It would leave the marts without sessions, and the anonymous with properties that no rule reads."""
    built = read_built(warehouse / MARTS)
    if built is not None and built.ladder != ladder.name:
        raise UsageError(
            f"the marts are those of the ladder {built.ladder!r}, and the one given is {ladder.name!r}: give theirs"
            " (--ladder), or run `yesladder build` with this one first"
        )


def _theirs(ids: Collection[str]) -> pl.Expr:
    listed = list(ids)
    return pl.col("visitor_id").is_in(listed) | pl.col("user_id").is_in(listed).fill_null(False)


def _count(lake: Lake, ids: Collection[str], before: tuple[Collection[str], datetime] | None) -> dict[str, int]:
    """Rows of theirs, by table.  ``before``: without those that an earlier try has counted, of ids until a time."""
    rows: dict[str, int] = {}
    for table, time in (("events", "occurred_at"), ("sessions", "started_at")):
        wanted = _theirs(ids)
        if before is not None:
            wanted = wanted & ~(_theirs(before[0]) & (pl.col(time) < before[1]))
        rows[table] = int(lake.scan(table).filter(wanted).select(pl.len()).collect().item())
    wanted_ids, counted = frozenset(ids), frozenset(before[0] if before is not None else ())
    letters = (ids_in_letter(raw) for raw in lake.scan("rejects").select("raw").collect()["raw"])
    rows["rejects"] = sum(not wanted_ids.isdisjoint(named) and counted.isdisjoint(named) for named in letters)
    return rows


def _in_letters(lake: Lake) -> set[str]:
    return set().union(*(ids_in_letter(raw) for raw in lake.scan("rejects").select("raw").collect()["raw"]))


def _rewrite(lake: Lake, ladder: Ladder, begun: Mapping[str, Any], clock: Callable[[], datetime]) -> None:
    """Events before sessions: an event without its session would be taken for an open one by a worker that starts."""
    ids, until = frozenset(begun["ids"]), datetime.fromisoformat(begun["erased_at"])
    key = bytes.fromhex(begun["key"])
    sought = frozenset(one for one in ids if len(one) >= SOUGHT_FROM)
    kept = frozenset(key for rule in ladder.rules for key in rule.where)
    erased = Erased.read(lake.root.parent)

    def change(table: str, time: str, frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_row_index("_row")
        theirs = _theirs(ids) & (pl.col(time) < until)
        own = frame.filter(theirs)
        others = _blotted(table, frame.filter(~theirs), sought)
        if table == "sessions" and erased is not None:  # of a visitor who is nobody, with a user who was erased
            lake.erasures.note(erased, set(own["visitor_id"]) - ids)
        if begun["mode"] == "erase" or own.is_empty():
            return others.drop("_row")
        changed = _blotted(table, anonymised(table, own, key, kept), ids)
        return pl.concat([others, changed]).sort("_row").drop("_row")

    def letters(frame: pl.DataFrame) -> pl.DataFrame:
        stay = [ids.isdisjoint(ids_in_letter(raw)) for raw in frame["raw"]]
        return frame.filter(pl.Series(stay, dtype=pl.Boolean))

    rewrite(lake, "events", lake.logged("events"), lambda frame: change("events", "occurred_at", frame), now=clock())
    rewrite(
        lake, "sessions", lake.logged("sessions"), lambda frame: change("sessions", "started_at", frame), now=clock()
    )
    rewrite(lake, "rejects", lake.logged("rejects"), letters, now=clock())


def _blotted(table: str, rows: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    columns = {"page_url": False, "referrer": False}
    if table == "events":
        columns |= {"properties": True, "context": True}
    return rows.with_columns(blotted(rows[name], ids, is_json=is_json) for name, is_json in columns.items())


def _empty_pages(lake: Lake) -> int:
    """Of verdicts on files that are no longer the lake's: without samples, and their pages without content.

    A page shows rows of its batch's files only, and every file that named the person has been replaced.
    """
    folder = lake.root.parent / "quality"
    current = {f"{table}/{file.path}" for table in TABLES for file in lake.logged(table)}
    batches = Batches(folder)
    emptied = 0
    for batch in [one for state in get_args(State) for one in batches.of_state(state)]:
        if not batch.failures or current.issuperset(file for files in batch.files.values() for file in files):
            continue
        failures = tuple(replace(failure, sample=()) for failure in batch.failures)
        for path in sorted(folder.joinpath(batch.name).glob("*.html")):
            if path.name != "index.html" and path.read_text(encoding="utf-8") != _TAKEN:
                path.write_text(_TAKEN, encoding="utf-8")
                emptied += 1
        write_batch_index(folder / batch.name, batch.name, batch.rows, [asdict(failure) for failure in failures])
        batches.record(replace(batch, failures=failures))
    return emptied
