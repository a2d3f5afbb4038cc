"""The check behind the chaos: what was answered, what is on the topic, what is in the lake, and what the marts say.

The topic is read once more and judged by oracles that share nothing with the worker (``tests/suites``).  What "once"
means: an event is told by its id.  Of several copies on time one row lands; one that comes too late lands as late, as
the oracle says, and ``resessionise`` takes it out: after that, every id stands there once, and sessions and marts are
those of a batch job over all events.  A dead letter has no id: each record that holds one makes one row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from ladder.events import CANONICAL_HEADER, Event
from ladder.rejects import REJECT_HEADER, decode_reject
from ladder.tiers import Ladder
from tests.chaos.sender import Ledger
from tests.suites.drop_off_found import drop_off_found
from tests.suites.session_oracle import Arrival, by_id, fates, sessions_of
from tests.suites.tier_oracle import drop_off_rows
from warehouse.build import build
from warehouse.check import check
from warehouse.lake import Lake
from warehouse.maintain import maintain
from warehouse.quality import Gate
from yesladder.resessionise import resessionise

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGE_ID = re.compile(rb"m\d+-\d+-\d+")

Place = tuple[int, int]
"""Partition and offset."""


@dataclass
class OnTopic:
    """What the records of a topic hold, in the order of each partition, and where it ends."""

    arrivals: list[Arrival] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    dead_letters: Counter[tuple[int, int, bytes]] = field(default_factory=Counter)
    ends: dict[int, int] = field(default_factory=dict)
    records: Counter[int] = field(default_factory=Counter)

    def add(self, record: Any, known: Collection[str]) -> None:
        """Take a consumed record in.  ``known``: the ids of all events that were sent."""
        self.ends[record.partition] = record.offset + 1
        self.records[record.partition] += 1
        place = record.partition, record.offset
        headers = [(name, value) for name, value in record.headers]
        if REJECT_HEADER in headers:
            self.dead_letters[*place, decode_reject(record.value).raw] += 1
            return
        at = _EPOCH + timedelta(milliseconds=record.timestamp)
        for line in record.value.split(b"\n") if CANONICAL_HEADER in headers else [record.value]:
            event = _event(line)
            if event is not None and event.event_id in known:
                self.arrivals.append(Arrival(event, record.partition, at))
                self.places.append(place)
            else:
                self.dead_letters[*place, line] += 1


def _event(line: bytes) -> Event | None:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass
class Verdict:
    """What was checked, in numbers, and all that is wrong, in words.

    ``copies``: of events, on the topic beyond the first.  ``late_copies``: of these the ones that landed as late.
    ``beyond``: copies beyond the stream's horizon, which the worker cannot know and ``resessionise`` takes out.
    """

    answered: int = 0
    events: int = 0
    dead_letters: int = 0
    copies: int = 0
    late: int = 0
    late_copies: int = 0
    beyond: int = 0
    sessions: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def expect(self, found: Any, wanted: Any, what: str) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {_difference(found, wanted)}")


@dataclass(frozen=True)
class Circumstances:
    """What keeps the oracle from knowing exactly what was late, and how often a record may be there.

    ``idle_after``: when a silent partition's time passes; None: never.  ``drained``: workers closed all sessions on
    their way out.  ``wrong_worker_clock`` and ``wrong_clock``: a worker's or the collector's was wrong for a while; the
    latter moved copies of events by hours.  ``repaired``: ``resessionise`` has been at it already.
    ``resent``: how often, at most, the collector had to send something again.
    """

    idle_after: timedelta | None = None
    drained: bool = False
    wrong_worker_clock: bool = False
    wrong_clock: bool = False
    repaired: bool = False
    resent: int = 0

    @property
    def time_passed(self) -> bool:
        """Without events, so that it depends on when that was."""
        return self.drained or self.idle_after is not None


def reconcile(
    ledger: Ledger,
    topic: OnTopic,
    poison: Sequence[bytes],
    lake: Lake,
    ladder: Ladder,
    source: str,
    known: Circumstances,
) -> Verdict:
    """Compare everything with everything, as the workers have left it."""
    verdict = Verdict(answered=len(ledger.answered))
    if ledger.wrong_answers:
        verdict.wrong.append(f"the collector miscounted: {ledger.wrong_answers[:3]}")
    landed = lake.scan("events").collect()
    _expect_everything_answered(verdict, ledger, topic, poison, landed)
    _expect_no_needless_copies(verdict, ledger, topic, known)
    on_time = _expect_each_event_once(verdict, topic, landed, ladder, known)
    _expect_dead_letters(verdict, topic, lake)
    _expect_checkpoints(verdict, topic, lake, landed, source, known)
    if known.time_passed:
        _expect_late_in_time(verdict, topic, lake, landed, ladder, known)
    if not known.repaired:
        _expect_sessions(verdict, on_time, lake, ladder, source)
    return verdict


def reconcile_repaired(
    verdict: Verdict,
    topic: OnTopic,
    lake: Lake,
    ladder: Ladder,
    source: str,
    known: Circumstances,
    gate: Gate | None,
    now: datetime,
) -> None:
    """The nightly work, and after it: each event once, every file sound, the sessions and marts of a batch job.

    ``gate``: None for no marts.
    """
    done = resessionise(lake, ladder, now=now)
    verdict.expect((done.waiting, done.cut_otherwise, done.incomplete), (0, 0, 0), "left by resessionise")
    maintain(lake, keep=timedelta(), now=now)
    verdict.expect([fault.line() for fault in check(lake)], [], "the check of all files")
    rows = lake.scan("events").select("event_id", "occurred_at").collect().rows()
    counting = _counting(topic, set(rows) if known.wrong_clock else None)
    ids = {arrival.event.event_id for arrival in topic.arrivals}
    verdict.lost += len(ids - set(counting))
    verdict.expect(set(counting), ids, "ids that count")
    found = Counter(rows)
    wanted = Counter((event_id, arrival.event.occurred_at) for event_id, arrival in counting.items())
    verdict.lost += (wanted - found).total()
    verdict.doubled += (found - wanted).total()
    verdict.expect(found, wanted, "events after resessionise")
    _expect_sessions(verdict, list(counting.values()), lake, ladder, source)
    if gate is not None and not verdict.wrong:
        _expect_marts(verdict, lake, ladder, gate, [one.event for one in counting.values()], now)


def _counting(topic: OnTopic, among: Collection[tuple[str, datetime]] | None) -> dict[str, Arrival]:
    """Of each event the copy that counts: the first to arrive.

    ``among``: of which copies, by id and time.  A clock that is put back makes a later copy look like an earlier one;
    the worker has passed it over by then, and it is in no table.
    """
    counting: dict[str, Arrival] = {}
    placed = zip(topic.arrivals, topic.places, strict=True)
    for arrival, _ in sorted(placed, key=lambda one: (one[0].event.received_at, *one[1])):
        event = arrival.event
        if among is None or (event.event_id, event.occurred_at) in among:
            counting.setdefault(event.event_id, arrival)
    return counting


def _expect_everything_answered(
    verdict: Verdict, ledger: Ledger, topic: OnTopic, poison: Sequence[bytes], landed: pl.DataFrame
) -> None:
    """What was answered with 200 is on the topic and in the lake; what is there was sent."""
    ids = {arrival.event.event_id for arrival in topic.arrivals}
    good = ledger.answered & ledger.good
    verdict.lost += len(good - set(landed["event_id"]))
    if missing := good - ids:
        verdict.wrong.append(f"{len(missing)} events were answered and are not on the topic: {_some(missing)}")
    refused = set(_ids_in(topic.dead_letters))
    bad = ledger.answered & ledger.bad
    if missing := bad - refused:
        verdict.lost += len(missing)
        verdict.wrong.append(f"{len(missing)} dead letters were answered and are not on the topic: {_some(missing)}")
    if unknown := (ids - ledger.good) | (refused - ledger.bad):
        verdict.wrong.append(f"{len(unknown)} that nobody sent: {_some(unknown)}")
    for token in poison:
        if not any(token in raw for _, _, raw in topic.dead_letters):
            verdict.wrong.append(f"{token!r} is not on the topic")
    unanswered = (ledger.good | ledger.bad) - ledger.answered - ledger.given_up
    if unanswered:
        verdict.wrong.append(f"{len(unanswered)} were never answered: {_some(unanswered)}")


def _expect_no_needless_copies(verdict: Verdict, ledger: Ledger, topic: OnTopic, known: Circumstances) -> None:
    """What was sent once is there once, but for what the collector may have had to send again."""
    there = Counter(arrival.event.event_id for arrival in topic.arrivals) + _ids_in(topic.dead_letters)
    needless = {one for one, copies in there.items() if copies > ledger.attempts[one] * (1 + known.resent)}
    if needless:
        verdict.wrong.append(f"{len(needless)} are on the topic more often than they were sent: {_some(needless)}")


def _ids_in(dead_letters: Counter[tuple[int, int, bytes]]) -> Counter[str]:
    """Those of bad messages, and how often each is there."""
    ids: Counter[str] = Counter()
    for (_, _, raw), count in dead_letters.items():
        for found in set(_MESSAGE_ID.findall(raw)):
            ids[found.decode()] += count
    return ids


def _expect_each_event_once(
    verdict: Verdict, topic: OnTopic, landed: pl.DataFrame, ladder: Ladder, known: Circumstances
) -> list[Arrival]:
    """The rows of ``events`` against the topic; gives what is on time, as it stands in the lake."""
    found = Counter(landed.select("partition", "record_offset", "event_id", "late").rows())
    verdict.events = len(landed)
    verdict.late = int(landed["late"].sum())
    copies = Counter(arrival.event.event_id for arrival in topic.arrivals)
    verdict.copies = copies.total() - len(copies)
    on_time = landed.filter(~pl.col("late"))
    only_late = set(landed["event_id"]) - set(on_time["event_id"])
    verdict.late_copies = verdict.late - len(only_late)
    wanted = Counter(
        (*place, arrival.event.event_id, fate == "late")
        for arrival, place, fate in zip(topic.arrivals, topic.places, fates(topic.arrivals, ladder), strict=True)
        if fate != "duplicate"
    )
    if not (known.time_passed or known.repaired):
        verdict.lost += (wanted - found).total()
        verdict.doubled += (found - wanted).total()
        verdict.expect(found, wanted, "events")
    else:
        there = Counter((*place, one.event.event_id) for one, place in zip(topic.arrivals, topic.places, strict=True))
        rows = Counter(landed.select("partition", "record_offset", "event_id").rows())
        verdict.doubled += (rows - there).total()
        verdict.expect(rows - there, Counter(), "events beyond those of the topic")
        if not known.time_passed:
            verdict.expect(found - wanted, Counter(), "events beyond those that the order of the records gives")
        ids = set(landed.select("partition", "event_id").rows())
        wanted_ids = {(arrival.partition, arrival.event.event_id) for arrival in topic.arrivals}
        verdict.lost += len(wanted_ids - ids)
        verdict.expect(ids, wanted_ids, "ids of events")
    # A copy is known until its first lies a gap behind the watermark; one on time after that is dated so much later.
    times = on_time.group_by("event_id").agg(pl.len(), apart=pl.col("occurred_at").sort().diff().min())
    twice = times.filter(pl.col("len") > 1)
    verdict.beyond = int(twice["len"].sum()) - len(twice)
    known_already = twice.filter(pl.col("apart") <= ladder.session_gap)
    if known.time_passed or known.repaired:  # else the oracle has counted them already
        verdict.doubled += len(known_already)
    verdict.expect(sorted(known_already["event_id"]), [], "events on time twice")
    by_place = {
        (*place, arrival.event.event_id): arrival
        for arrival, place in reversed(list(zip(topic.arrivals, topic.places, strict=True)))
    }
    rows_on_time = on_time.select("partition", "record_offset", "event_id").rows()
    return [by_place[row] for row in rows_on_time if row in by_place]


def _expect_late_in_time(
    verdict: Verdict, topic: OnTopic, lake: Lake, landed: pl.DataFrame, ladder: Ladder, known: Circumstances
) -> None:
    """Of what is late some watermark must have been past it, and what the records alone make late must be late."""
    by_order: dict[tuple[int, int, str], set[bool]] = {}
    drained_to: dict[Place, datetime] = {}
    latest: dict[int, datetime] = {}
    placed = zip(topic.arrivals, topic.places, fates(topic.arrivals, ladder), strict=True)
    for arrival, place, fate in placed:
        event = arrival.event
        by_order.setdefault((*place, event.event_id), set()).add(fate == "late")
        drained_to.setdefault(place, latest.get(place[0], _EPOCH) + 2 * ladder.session_gap)
        latest[place[0]] = max(latest.get(place[0], _EPOCH), event.occurred_at)
    committed = lake.scan("checkpoints").sort("first_offset").select("partition", "first_offset", "committed_at")
    idle_to = {
        partition: rows.with_columns(pl.col("committed_at").cum_max())
        for (partition,), rows in committed.collect().partition_by("partition", as_dict=True).items()
    }
    too_late, not_late = set(), set()
    for partition, offset, event_id, occurred_at, late in landed.select(
        "partition", "record_offset", "event_id", "occurred_at", "late"
    ).rows():
        fated = by_order.get((partition, offset, event_id), set())
        if not late and fated == {True}:
            not_late.add(event_id)
        if not late or True in fated:
            continue
        allowed = drained_to.get((partition, offset), _EPOCH) if known.drained else _EPOCH
        if known.idle_after is not None:
            if known.wrong_worker_clock:
                continue
            until = idle_to[partition].filter(pl.col("first_offset") <= offset)["committed_at"][-1]
            allowed = max(allowed, until - known.idle_after - ladder.lateness + timedelta(seconds=1))
        if occurred_at >= allowed:
            too_late.add(event_id)
    if too_late:
        verdict.wrong.append(f"{len(too_late)} are late although no watermark was past them: {_some(too_late)}")
    if not_late:
        verdict.wrong.append(f"{len(not_late)} are on time although the watermark was past them: {_some(not_late)}")


def _expect_dead_letters(verdict: Verdict, topic: OnTopic, lake: Lake) -> None:
    rows = lake.scan("rejects").select("partition", "record_offset", "raw").collect().rows()
    found = Counter((partition, offset, bytes(raw)) for partition, offset, raw in rows)
    verdict.dead_letters = len(rows)
    verdict.lost += (topic.dead_letters - found).total()
    verdict.doubled += (found - topic.dead_letters).total()
    verdict.expect(found, topic.dead_letters, "dead letters")


def _expect_checkpoints(
    verdict: Verdict, topic: OnTopic, lake: Lake, landed: pl.DataFrame, source: str, known: Circumstances
) -> None:
    """Each offset in one checkpoint, the sums right, and the lake's offsets at the end of the topic."""
    claim = lake.claim(source, list(topic.ends))
    verdict.expect({p: claim.next_offset(p) for p in topic.ends}, topic.ends, "offsets in the lake")
    verdict.expect(len(claim.open_events(["event_id"])), 0, "events left open")
    checkpoints = lake.scan("checkpoints").sort("partition", "first_offset").collect()
    verdict.expect(set(checkpoints["partition"]), set(topic.ends), "partitions with checkpoints")
    for (partition,), rows in checkpoints.partition_by("partition", as_dict=True, maintain_order=True).items():
        end = topic.ends.get(int(partition), 0)
        verdict.expect([*rows["first_offset"], end], [0, *rows["next_offset"]], f"checkpoints of {partition}")
        holes = end - topic.records[int(partition)]
        verdict.expect(rows["skipped_offsets"].sum(), holes, f"skipped offsets of {partition}")
    sums = checkpoints.select(pl.sum("landed", "duplicates", "rejected", "late")).row(0)
    # What landed and was taken out again has been counted, too.
    verdict.expect((sums[0] + sums[1], sums[2]), (len(topic.arrivals), topic.dead_letters.total()), "counts")
    if not known.repaired:
        verdict.expect((sums[0], sums[3]), (len(landed), int(landed["late"].sum())), "counts (landed, late)")


def _expect_sessions(verdict: Verdict, on_time: list[Arrival], lake: Lake, ladder: Ladder, source: str) -> None:
    found = sorted(lake.scan("sessions").collect().to_arrow().to_pylist(), key=by_id)
    wanted = sessions_of(on_time, ladder, source)
    verdict.sessions = len(found)
    verdict.expect([row["session_id"] for row in found], [row["session_id"] for row in wanted], "sessions")
    if found != wanted:
        differing = [(a, b) for a, b in zip(found, wanted, strict=False) if a != b]
        verdict.wrong.append(f"{len(differing)} sessions differ from the oracle's: {differing[:1]}")


def _expect_marts(
    verdict: Verdict, lake: Lake, ladder: Ladder, gate: Gate, events: Sequence[Event], now: datetime
) -> None:
    """Build, and compare the tier tables with what plain loops count."""
    done = build(lake, ladder, gate=gate, now=now)
    if done.held_back:
        verdict.wrong.append(done.held_back_message())
        return
    for unit in ("session", "visitor"):
        for mart, step, by_step in (("fct_tier_dropoff", "''", False), ("fct_step_dropoff", "step", True)):
            found = drop_off_found(lake.root.parent, mart, step, unit)
            wanted = drop_off_rows(events, ladder, unit, by_step=by_step)
            verdict.expect(found, wanted, f"{mart} by {unit}")


def _some(ids: Collection[str]) -> str:
    return ", ".join(sorted(ids)[:5])


def _difference(found: Any, wanted: Any) -> str:
    """In a few words."""
    if isinstance(found, Counter) and isinstance(wanted, Counter):
        more, less = found - wanted, wanted - found
        return f"{more.total()} too many {list(more)[:4]}, {less.total()} missing {list(less)[:4]}"
    if isinstance(found, set) and isinstance(wanted, set):
        return f"too many {sorted(found - wanted)[:4]}, missing {sorted(wanted - found)[:4]}"
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
        return "; ".join(f"{key}: {found.get(key)} and not {wanted.get(key)}" for key in keys[:3])
    if isinstance(found, list) and isinstance(wanted, list):
        at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), None)
        if at is None:
            return f"{len(found)} and not {len(wanted)}"
        return f"{len(found)} and not {len(wanted)}; at {at} {found[at]!r} and not {wanted[at]!r}"
    return f"{found!r} and not {wanted!r}"
