"""Crashes of the worker, and a store that refuses, cuts connections, and loses its answers to what it has done."""

from __future__ import annotations

import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from ladder.tables import EVENTS, LANDED, TABLES, Position
from tests.suites.crashing_worker import SOURCE, Topic, Worker, topics
from tests.suites.event_strategies import LADDER
from tests.suites.object_store import Server
from tests.suites.seeded_lake import event_rows, seeded_events
from tests.suites.session_oracle import by_id, fates, sessions_of
from warehouse.check import check
from warehouse.lake import Lake

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = ["slow_down", "lost", "cut", "cut_after", "late"]
COMMITS = "^PUT .*_delta_log/[0-9]+.json"


@pytest.fixture(scope="module", params=["s3", "gs", pytest.param("abfss", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@settings(deadline=None, max_examples=2, derandomize=True)
@given(st.data())
def test_whatever_goes_wrong_each_event_is_there_once_and_the_sessions_are_the_oracles(
    server: Server, data: st.DataObject
) -> None:
    topic: Topic = data.draw(topics())
    seed = data.draw(st.integers(0, 99))
    anywhere = [{"what": kind, "share": 0.02, "seed": seed + n} for n, kind in enumerate(KINDS)]
    of_commits = [
        {"what": kind, "share": 0.15, "seed": seed + n, "fits": COMMITS} for n, kind in enumerate(KINDS, start=9)
    ]
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder) / "copies", data, server.store())
        server.go_wrong(*of_commits, *anywhere)
        server.hits()
        try:
            worker.run(topic, interrupted=False)
        finally:
            server.go_wrong()
        assert server.hits(), "something went wrong"
        lake = Lake(worker.root, worker.store)
        verdicts = fates(topic.arrivals, LADDER)
        kept = [arrival for arrival, fate in zip(topic.arrivals, verdicts, strict=True) if fate == "kept"]
        late = [arrival for arrival, fate in zip(topic.arrivals, verdicts, strict=True) if fate == "late"]
        events = lake.scan("events").select("event_id", "late").collect().rows()
        assert Counter(events) == Counter(
            [(one.event.event_id, False) for one in kept] + [(one.event.event_id, True) for one in late]
        )
        assert sorted(lake.scan("sessions").collect().to_arrow().to_pylist(), key=by_id) == sessions_of(
            kept, LADDER, SOURCE
        )
        assert check(lake) == []


def test_workers_on_several_machines_commit_at_once_and_nothing_is_lost_or_there_twice(
    server: Server, tmp_path: Path
) -> None:
    url, commits = server.url(), 4
    own = {p: seeded_events(p, 6, prefix=f"p{p} e")[: 5 * commits] for p in range(3)}
    lakes = [server.lake(tmp_path / str(p), url) for p in own]
    empty = {name: schema.remove(schema.get_field_index(LANDED.name)).empty_table() for name, schema in TABLES.items()}
    server.go_wrong(*({"what": kind, "share": 0.1, "seed": n, "fits": COMMITS} for n, kind in enumerate(KINDS)))

    def work(partition: int) -> None:
        claim = lakes[partition].claim(SOURCE, [partition])
        for n in range(commits):
            rows = event_rows(own[partition][5 * n : 5 * n + 5], first=5 * n)
            place = rows.schema.get_field_index("partition")
            rows = rows.set_column(place, EVENTS.field("partition"), pa.array([partition] * len(rows), pa.int32()))
            claim.commit(empty | {"events": rows}, {partition: Position(5 * n + 5)}, NOW + timedelta(seconds=n))

    try:
        with ThreadPoolExecutor(3) as machines:
            list(machines.map(work, own))
    finally:
        server.go_wrong()
    found = lakes[0].scan("events").select("event_id").collect()["event_id"].to_list()
    assert sorted(found) == sorted(event.event_id for events in own.values() for event in events)
    assert lakes[0].versions() == {"events": 3 * commits, "rejects": 0, "checkpoints": 0, "sessions": 3 * commits}
    assert [lakes[0].claim(SOURCE, [p]).next_offset(p) for p in own] == [5 * commits] * 3
