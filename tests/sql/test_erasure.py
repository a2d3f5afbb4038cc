from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ladder.errors import UsageError
from ladder.events import Event, encode
from ladder.tiers import Ladder
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.consumed import CANONICAL, Record
from tests.suites.seeded_lake import LADDER, seeded_events
from warehouse.build import build
from warehouse.check import check
from warehouse.erasure import Found, erase, find, unfinished
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql, tiers

NOW = datetime.now(UTC)
START = NOW - timedelta(days=40)
NAMES = [b"person-ann-phone", b"person-ann-laptop", b"ann@example.com"]


def event(event_id: str, minutes: float, visitor: str, **more: Any) -> Event:
    at = START + timedelta(minutes=minutes)
    kind = {"name": "Page Shown", "page_url": "https://shop.example/a?who=me"} | more
    return Event(event_id=event_id, visitor_id=visitor, occurred_at=at, received_at=at, **kind)


ANN = [
    event("a1", 0, "person-ann-phone"),
    event("a2", 1, "person-ann-phone", name="Page Read", user_id="ann@example.com"),
    event("a3", 2, "person-ann-laptop", name="Voted", user_id="ann@example.com", properties='{"paid": true, "x": 1}'),
    event("a4", 3, "person-ann-laptop", name="Ordered", properties='{"paid": true, "city": "Ghent"}'),
]
BOB = [
    event(
        "b1", 4, "person-bob", properties='{"friend": "person-ann-phone"}', page_url="https://s.example/ann@example.com"
    ),
    event("b2", 5, "person-bob", name="Page Read"),
]


def worker(lake: Lake, events: list[Event], ladder: Ladder = LADDER, *more: bytes) -> Hold:
    hold = Hold(lake, ladder, "events", [0], RejectBrake(share=1, run=10**6))
    values = [*(encode(one) for one in events), *more]
    begin = hold.reached[0]
    hold.checkpoint([Record(value, CANONICAL, begin + n, 0, 0) for n, value in enumerate(values)], now=NOW)
    return hold


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Ann on two devices, Bob who mentions her, a dead letter of hers, and others."""
    lake = Lake(tmp_path / "ware house" / "lake")
    others = [e for e in seeded_events(3, 10) if e.occurred_at.year == 2026]
    letter = b'{"event_id": 5, "visitor_id": "person-ann-phone"}'
    worker(lake, [*others, *ANN, *BOB], LADDER, letter, b"no event").checkpoint([], now=NOW, finish=True)
    return lake


def everything(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The bytes of every file, Parquet decompressed."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet" and "landed_date" in str(path):
                yield path, json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=repr).encode()


def mentions(lake: Lake) -> set[str]:
    return {
        path.relative_to(lake.root.parent).as_posix()
        for path, data in everything(lake.root.parent)
        if any(name in data for name in NAMES)
    }


def ids(lake: Lake) -> set[str]:
    return set(lake.scan("events").collect()["event_id"])


def ids_of_ann(lake: Lake) -> tuple[str, ...]:
    return find(lake, ["person-ann-laptop"]).ids


def test_one_id_leads_to_all_that_were_seen_together_with_it(lake: Lake) -> None:
    for one in ("person-ann-phone", "person-ann-laptop", "ann@example.com"):
        assert find(lake, [one]) == Found(
            ("person-ann-laptop", "person-ann-phone"),
            ("ann@example.com",),
            {"events": 4, "sessions": 2, "rejects": 1},
        )
    with pytest.raises(UsageError, match=r"^nobody: no event or session of this lake has such"):
        find(lake, ["nobody", "person-bob"])


def test_a_person_is_nowhere_in_the_warehouse_any_more(lake: Lake, gate: Gate) -> None:
    build(lake, LADDER, gate=gate, now=NOW)
    warehouse = lake.root.parent
    (warehouse / "reports").mkdir()
    (warehouse / "reports" / "walk.html").write_text("<p>The walk of person-ann-phone and person-annette</p>")
    assert len(mentions(lake)) > 4
    before = ids(lake)
    receipt = erase(lake, LADDER, ids_of_ann(lake), gate=gate, now=NOW)
    assert mentions(lake) == set()
    assert ids(lake) == before - {"a1", "a2", "a3", "a4"}
    assert receipt.rows == {"events": 4, "sessions": 2, "rejects": 1}
    assert receipt.marts_rebuilt
    assert (warehouse / "reports" / "walk.html").read_text() == "<p>The walk of erased and person-annette</p>"
    kept = json.loads((warehouse / "erasures" / f"{receipt.name}.json").read_text())
    assert kept == json.loads(json.dumps(receipt.to_dict()))
    (bob,) = lake.scan("events").filter(event_id="b1").collect().to_dicts()
    assert (bob["properties"], bob["page_url"]) == ('{"friend": "erased"}', "https://s.example/erased")
    assert run_sql(warehouse, "select count(*) as n from dim_visitors where visitor_id like 'person%'").to_pylist() == [
        {"n": 1}
    ]
    assert lake.scan("rejects").select(pl.len()).collect().item() == 1
    assert check(lake) == []


def test_anonymised_the_counts_stay_and_nobody_is_known(lake: Lake, gate: Gate) -> None:
    build(lake, LADDER, gate=gate, now=NOW)
    before = [tiers(lake.root.parent, LADDER, unit) for unit in ("session", "visitor")]
    sessions = lake.scan("sessions").select(pl.col("events", "started_at", "highest_tier")).collect()
    erase(lake, LADDER, ids_of_ann(lake), mode="anonymise", gate=gate, now=NOW)
    assert mentions(lake) == set()
    assert [tiers(lake.root.parent, LADDER, unit) for unit in ("session", "visitor")] == before
    assert (
        lake.scan("sessions")
        .select(pl.col("events", "started_at", "highest_tier"))
        .collect()
        .sort(pl.all())
        .equals(sessions.sort(pl.all()))
    )
    hers = lake.scan("events").filter(pl.col("event_id").is_in(["a1", "a2", "a3", "a4"])).sort("event_id").collect()
    assert hers["user_id"].to_list() == [None] * 4
    assert hers["page_url"].to_list() == ["https://shop.example/a"] * 4
    assert hers["properties"].to_list() == ["{}", "{}", '{"paid": true}', '{"paid": true}'], "what the ladder reads"
    first, second, third, fourth = hers["visitor_id"].to_list()
    assert first == second != third == fourth
    assert {first, third} <= set(lake.scan("sessions").collect()["visitor_id"])
    assert check(lake) == []


@pytest.mark.parametrize("mode", ["erase", "anonymise"])
def test_what_a_worker_still_holds_or_reads_later_does_not_bring_them_back(tmp_path: Path, mode: Any) -> None:
    lake = Lake(tmp_path / "lake")
    hold = worker(lake, [*ANN[:2], BOB[1]])
    erase(lake, LADDER, find(lake, ["person-ann-phone"]).ids, mode=mode, now=NOW)
    offset = hold.reached[0]
    again = [event("a9", 9, "person-ann-phone"), event("b3", 9, "person-bob")]
    hold.checkpoint([Record(encode(one), CANONICAL, offset + n, 0, 0) for n, one in enumerate(again)], now=NOW)
    hold.checkpoint([], now=NOW, finish=True)
    assert mentions(lake) == set()
    events = {"b2", "b3"} if mode == "erase" else {"a1", "a2", "a9", "b2", "b3"}
    assert ids(lake) == events
    found = lake.scan("sessions").explode("sequence").unnest("sequence", separator=".").collect()
    assert set(found["sequence.event_id"]) == events
    assert Lake(lake.root).claim("kafka:events", [0]).next_offset(0) == offset + 2
    assert check(lake) == []


def test_who_comes_back_after_the_erasure_is_a_new_visitor(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    worker(lake, ANN[:1])
    erase(lake, LADDER, ["person-ann-phone"], now=START + timedelta(minutes=5))
    worker(lake, [event("later", 6, "person-ann-phone"), event("before", 4.9, "person-ann-phone")])
    assert ids(lake) == {"later"}


def test_an_erasure_cut_short_is_known_and_ended_by_the_next(lake: Lake) -> None:
    everyone = ids_of_ann(lake)
    with lake.writing(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("warehouse.erasure._WRITERS_PATIENCE_S", 0)
        with pytest.raises(Exception, match="no file was deleted"):
            erase(lake, LADDER, everyone, now=NOW)
    assert unfinished(lake.root.parent) == [(everyone, "erase")]
    erase(lake, LADDER, everyone, now=NOW)
    assert unfinished(lake.root.parent) == []
    assert len(list((lake.root.parent / "erasures").glob("*.json"))) == 1
    assert mentions(lake) == set()


def test_short_ids_are_matched_whole_in_dead_letters_and_not_sought_in_the_texts_of_others(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    other = event("o", 1, "other", properties='{"count": 7, "id": "7"}')
    worker(lake, [event("s", 0, "7"), other], LADDER, b'{"visitor_id": "7"', b'{"visitor_id": "17"')
    erase(lake, LADDER, ["7"], now=NOW)
    assert lake.scan("rejects").collect()["raw"].to_list() == [b'{"visitor_id": "17"']
    assert lake.scan("events").collect()["properties"].to_list() == ['{"count": 7, "id": "7"}']
    assert isinstance(pq.read_table(lake.files("events")[0], partitioning=None), pa.Table)
