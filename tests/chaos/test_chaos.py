"""The fixed seeds; and the harness itself must repeat a schedule, spoil a network and see a mistake."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from ladder.events import Event, encode
from ladder.tables import TABLES
from ladder.tiers import Ladder, parse_ladder
from stream.checkpoint import Hold, without_landed
from stream.rejects import RejectBrake
from tests.chaos.proxy import Client, Proxy
from tests.chaos.reconcile import Circumstances, OnTopic, Verdict, reconcile, reconcile_repaired
from tests.chaos.run import CLUSTERS, Run as Ran, campaign, numbers_of, shortcomings
from tests.chaos.schedule import KINDS, REPAIRS, STORM_S, WRONG_CLOCKS, plan
from tests.chaos.sender import HISTORY, Ledger
from tests.suites.consumed import CANONICAL, Record
from warehouse.lake import Lake
from warehouse.lake_files import Part

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_three_storms_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    runs = campaign([plan(seed, CLUSTERS) for seed in (1, 2, 3)], tmp_path, keep=True)
    assert [run.wrong for run in runs] == [[], [], []]
    numbers = numbers_of(runs)
    assert (numbers.checked["lost"], numbers.checked["doubled"]) == (0, 0)
    assert shortcomings(runs) == []


seeds = st.integers(0, 10_000)


@settings(deadline=None)
@given(seeds)
def test_a_seed_is_one_schedule(seed: int) -> None:
    assert plan(seed, CLUSTERS) == plan(seed, CLUSTERS)
    assert str(plan(seed, CLUSTERS)) == str(plan(seed, CLUSTERS))


@settings(deadline=None)
@given(seeds)
def test_a_schedule_has_faults_that_its_cluster_can_bear_one_broker_at_a_time(seed: int) -> None:
    made = plan(seed, CLUSTERS)
    kinds = {kind.name: kind for kind in KINDS}
    assert len(made.faults) == 14
    assert list(made.faults) == sorted(made.faults, key=lambda fault: fault.at_s)
    free_at = 0.0
    for fault in made.faults:
        kind = kinds[fault.kind]
        assert kind.shortest_s <= fault.for_s <= kind.longest_s
        assert made.brokers >= kind.brokers
        assert made.cluster == "apache" or not kind.apache
        if kind.whom == "broker":
            assert fault.at_s >= free_at
            free_at = fault.at_s + fault.for_s
        else:
            assert 0 <= fault.at_s <= STORM_S


def test_fifty_seeds_have_every_kind_of_fault() -> None:
    plans = [plan(seed, CLUSTERS) for seed in range(1, 51)]
    assert {fault.kind for made in plans for fault in made.faults} == {kind.name for kind in KINDS}
    assert {made.workers for made in plans} == {1, 2, 3} == {made.brokers for made in plans}
    assert {(made.live, made.drain) for made in plans} == {(a, b) for a in (False, True) for b in (False, True)}


def test_every_other_seed_is_exact() -> None:
    plans = [plan(seed, CLUSTERS) for seed in range(1, 51)]
    exact = [made for made in plans if made.exact]
    assert {made.seed for made in exact} >= set(range(1, 51, 2))
    assert not any(made.live or made.drain or made.has(*REPAIRS, *WRONG_CLOCKS) for made in exact)


def ran(seed: int, *, happened: int, refused: int) -> Ran:
    made = plan(seed, CLUSTERS)
    return Ran(made, Verdict(), Counter(any=happened), Counter({"commits refused": refused}), Counter(), 1.0)


def test_runs_in_which_too_little_happened_prove_nothing() -> None:
    assert shortcomings([ran(seed, happened=10, refused=seed // 3) for seed in (1, 2, 3)]) == []
    (few,) = shortcomings([ran(seed, happened=9, refused=1) for seed in (1, 2, 3)])
    assert few == "only 27 of 42 faults have happened"
    (none,) = shortcomings([ran(seed, happened=14, refused=0) for seed in range(10)])
    assert "no commit was refused" in none


# --- the network ---


@contextmanager
def echoing() -> Iterator[Proxy]:
    """A proxy before a server that says everything back."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    def echo(connection: socket.socket) -> None:
        with connection:
            try:
                while said := connection.recv(4096):
                    connection.sendall(said)
            except OSError:
                return

    with closing(socket.create_server(("127.0.0.1", 0))) as listener, Proxy() as proxy:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        proxy.leads_to(listener.getsockname()[1])
        yield proxy


def request(name: bytes) -> bytes:
    """The beginning of any request to Kafka, from a client of that name."""
    body = struct.pack(">hhih", 18, 0, 7, len(name)) + name
    return struct.pack(">i", len(body)) + body


def connected(proxy: Proxy, name: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port))
    client.settimeout(0.4)
    client.sendall(request(name))
    return client


CLIENTS: list[tuple[bytes, Client]] = [(b"faust-0.15.3", "worker"), (b"kafka-python-3.0.12", "collector")]


@pytest.mark.parametrize(("name", "client"), CLIENTS)
def test_a_cut_resets_the_connections_of_one_client_and_refuses_its_new_ones(name: bytes, client: Client) -> None:
    other = next(one for one, whose in CLIENTS if whose != client)
    with echoing() as proxy, connected(proxy, name) as mine, connected(proxy, other) as theirs:
        assert mine.recv(99) == request(name)
        assert theirs.recv(99) == request(other)
        proxy.begin(client, "cut")
        with pytest.raises(ConnectionResetError):
            mine.recv(99)
        with connected(proxy, name) as again, pytest.raises(ConnectionResetError):
            again.recv(99)
        assert (proxy.felt(client, "cut"), proxy.felt(whose_not(client), "cut")) == (2, 0)
        theirs.sendall(b"still here")
        assert theirs.recv(99) == b"still here"
        proxy.end(client, "cut")
        with connected(proxy, name) as again:
            assert again.recv(99) == request(name)


def whose_not(client: Client) -> Client:
    return "worker" if client == "collector" else "collector"


def test_trouble_that_began_twice_ends_at_the_second_end() -> None:
    with echoing() as proxy:
        for _ in range(2):
            proxy.begin("worker", "cut")
        proxy.end("worker", "cut")
        with connected(proxy, b"faust") as client, pytest.raises(ConnectionResetError):
            client.recv(99)
        proxy.end("worker", "cut")
        with connected(proxy, b"faust") as client:
            assert client.recv(99) == request(b"faust")
        for _ in range(2):
            proxy.begin("worker", "cut")
        proxy.heal()
        with connected(proxy, b"faust") as client:
            assert client.recv(99) == request(b"faust")


def test_what_is_held_up_comes_later_and_what_is_swallowed_never() -> None:
    with echoing() as proxy, connected(proxy, b"faust") as client:
        assert client.recv(99) == request(b"faust")
        proxy.begin("worker", "stalled")
        client.sendall(b"held up")
        with pytest.raises(TimeoutError):
            client.recv(99)
        proxy.end("worker", "stalled")
        assert client.recv(99) == b"held up"
        assert proxy.felt("worker", "stalled") == 1
        assert proxy.felt("worker", "deaf") == 0
        proxy.begin("worker", "deaf")
        client.sendall(b"swallowed")
        with pytest.raises(TimeoutError):
            client.recv(99)
        assert proxy.felt("worker", "deaf") == 1
        proxy.end("worker", "deaf")
        with pytest.raises(ConnectionResetError):
            client.recv(99)


# --- the reconciliation ---

SOURCE = "kafka:events"
EXACT = Circumstances()


@pytest.fixture
def ladder() -> Ladder:
    return parse_ladder(HISTORY.ladder, "this test")


def events(count: int) -> list[Event]:
    return [
        Event(
            event_id=f"m1-0-{number}",
            visitor_id=f"v{number % 3}",
            occurred_at=NOON + timedelta(minutes=number),
            received_at=NOON + timedelta(minutes=number),
            name="Page Shown",
        )
        for number in range(count)
    ]


class Run:
    """Records, what was answered of them, and a lake that took them in."""

    def __init__(self, folder: Path, ladder: Ladder) -> None:
        self.ladder = ladder
        self.records = [Record(encode(event), CANONICAL, n, 0) for n, event in enumerate(events(20))]
        self.records.append(Record(b"poison", (), 20, 0))
        self.ledger = Ledger()
        self.ledger.good |= {event.event_id for event in events(20)}
        self.ledger.answered |= self.ledger.good
        self.ledger.attempts.update(self.ledger.good)
        self.lake = Lake(folder / "lake")

    def land(self, records: list[Record]) -> None:
        hold = Hold(self.lake, self.ladder, "events", [0], RejectBrake())
        for begin in range(0, len(records), 5):
            hold.checkpoint(records[begin : begin + 5], now=NOON)
        hold.checkpoint([], now=NOON, finish=True)

    @property
    def topic(self) -> OnTopic:
        topic = OnTopic()
        for record in self.records:
            topic.add(record, self.ledger.good)
        return topic

    def verdict(self, known: Circumstances = EXACT) -> Verdict:
        return reconcile(self.ledger, self.topic, [b"poison"], self.lake, self.ladder, SOURCE, known)


@pytest.fixture
def run(tmp_path: Path, ladder: Ladder) -> Run:
    return Run(tmp_path, ladder)


def test_what_is_as_it_should_be_is_found_so(run: Run) -> None:
    run.land(run.records)
    assert run.verdict() == Verdict(answered=20, events=20, dead_letters=1, sessions=3)


def test_an_answered_event_that_never_came_to_the_topic_is_lost(run: Run) -> None:
    run.land(run.records)
    run.ledger.good.add("m1-0-99")
    run.ledger.answered.add("m1-0-99")
    verdict = run.verdict()
    assert verdict.lost == 1
    assert "m1-0-99" in verdict.wrong[0]


def test_a_record_that_the_worker_passed_over_is_lost(run: Run) -> None:
    run.land([record for record in run.records if record.offset != 7])
    verdict = run.verdict()
    assert (verdict.lost, verdict.doubled) == (2, 0)  # as an answer, and as a row
    assert any("m1-0-7" in words for words in verdict.wrong)


def test_a_row_that_stands_there_twice_is_doubled(run: Run) -> None:
    run.land(run.records)
    for table in ("events", "rejects"):
        run.lake.append(
            table, run.lake.scan(table).head(1).collect().to_arrow().cast(without_landed(TABLES[table])), now=NOON
        )
    verdict = run.verdict()
    assert verdict.lost == 0
    assert verdict.doubled == 2
    assert any(words.startswith("events: 1 too many") for words in verdict.wrong)
    assert any(words.startswith("dead letters: 1 too many") for words in verdict.wrong)


def test_a_missing_session_and_a_topic_that_goes_on_are_seen(run: Run) -> None:
    run.land(run.records)
    run.records.append(Record(encode(msgspec.structs.replace(events(1)[0], event_id="m1-0-50")), CANONICAL, 21, 0))
    run.ledger.good.add("m1-0-50")
    wrong = " ".join(run.verdict().wrong)
    assert "offsets in the lake: 0: 21 and not 22" in wrong
    assert "m1-0-50" in wrong


def test_an_event_without_any_row_is_lost_whatever_the_clocks_were(run: Run) -> None:
    run.land([record for record in run.records if record.offset != 7])
    verdict = Verdict()
    known = Circumstances(wrong_clock=True)
    reconcile_repaired(verdict, run.topic, run.lake, run.ladder, SOURCE, known, None, NOON + timedelta(days=9))
    assert verdict.lost == 1
    assert verdict.wrong[0].startswith("ids that count: too many [], missing ['m1-0-7']")


def test_a_record_is_there_as_often_as_it_was_sent_or_had_to_be_sent_again(run: Run) -> None:
    run.records.append(Record(encode(events(1)[0]), CANONICAL, 21, 0))
    run.land(run.records)
    (words,) = run.verdict().wrong
    assert words == "1 are on the topic more often than they were sent: m1-0-0"
    assert run.verdict(Circumstances(resent=1)).wrong == []
    run.ledger.attempts["m1-0-0"] += 1
    assert run.verdict().wrong == []


def test_what_is_late_without_a_reason_is_seen_although_time_passed(run: Run) -> None:
    """All but the first events are late for a worker whose time has gone on by itself."""
    hold = Hold(run.lake, run.ladder, "events", [0], RejectBrake())
    hold.checkpoint(run.records[:5], now=NOON, idle_until={0: NOON + timedelta(days=1)})
    hold.checkpoint(run.records[5:], now=NOON)
    hold.checkpoint([], now=NOON, finish=True)
    assert run.verdict().doubled == 15
    assert run.verdict(Circumstances(repaired=True)).wrong[0].startswith("events beyond those that the order")
    idle = Circumstances(idle_after=timedelta(seconds=3))
    assert run.verdict(idle).wrong[0].startswith("15 are late although no watermark was past them: m1-0-")
    long_idle = Circumstances(idle_after=-timedelta(days=1))
    assert run.verdict(long_idle).wrong == []
    assert run.verdict(Circumstances(drained=True)).wrong == []


def test_what_the_records_make_late_must_be_late_although_time_passed(run: Run) -> None:
    old = msgspec.structs.replace(events(1)[0], event_id="m1-0-50", occurred_at=NOON - timedelta(days=1))
    run.land(run.records)
    record = Record(encode(old), CANONICAL, 21, 0)
    Hold(Lake(run.lake.root), run.ladder, "events", [0], RejectBrake()).checkpoint([record], now=NOON)
    run.records.append(record)
    run.ledger.good.add("m1-0-50")
    run.ledger.answered.add("m1-0-50")
    run.ledger.attempts["m1-0-50"] = 1
    known = Circumstances(drained=True)
    assert run.verdict(known).wrong == []
    rows = run.lake.scan("events").collect()
    on_time = rows.with_columns(late=pl.lit(value=False)).to_arrow().cast(without_landed(TABLES["events"]))
    run.lake.replace("events", run.lake.files("events"), [Part(NOON.date(), on_time)], rearranges=False, now=NOON)
    assert "1 are on time although the watermark was past them: m1-0-50" in run.verdict(known).wrong


def test_only_requests_that_were_wholly_within_a_time_are_taken_in_it() -> None:
    ledger = Ledger(taken=[(1.0, 3.0), (2.1, 2.9), (2.5, 4.0)])
    assert ledger.taken_within(2.0, 3.0) == 1


# --- faults inside a process ---

INSIDE = Path(__file__).parent / "inside"
PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.suites.seeded_lake import event_rows, seeded_events
from warehouse.lake import Lake
from warehouse.lake_files import Part

for number in range(5):
    try:
        Lake(Path(sys.argv[1])).append("events", event_rows(seeded_events(1, 3)), now=datetime.now(UTC))
        print("done")
    except OSError as error:
        print(error.strerror, flush=True)
"""


def test_faults_inside_a_process_happen_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "faults" / "worker").mkdir(parents=True)
    lake = Lake(tmp_path / "lake")
    asked_for: dict[str, dict[str, Any]] = {
        "1": {"at": "data", "do": "no space"},
        "2": {"at": "before commit", "do": "no space", "table": "events"},
        "3": {"at": "after commit", "do": "lose the answer", "seconds": 0},
        "4": {"at": "after commit", "do": "die"},
        "5": {"at": "fsync", "do": "slow", "seconds": 0.01, "once": False},
        "6": {"at": "data", "do": "die", "table": "sessions"},
    }
    for name, fault in asked_for.items():
        (tmp_path / "faults" / f"{name}.json").write_text(json.dumps(fault))
    paths = os.pathsep.join([str(INSIDE), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(lake.root)],
        env=os.environ | {"PYTHONPATH": paths, "CHAOS_FAULTS": str(tmp_path / "faults" / "worker")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.splitlines() == ["No space left on device", "No space left on device", "Input/output error"]
    assert len(lake.files("events")) == 2, "what was committed before the answer was lost, and before it died"
    left = {file.name for file in (tmp_path / "faults").iterdir()}
    assert left == {"worker", "1.fired", "2.fired", "3.fired", "4.fired", "5.json", "5.hit", "6.json"}
