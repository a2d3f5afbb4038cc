from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from answers.funnel_kept import SavedFunnels
from answers.funnel_question import ask
from ladder.errors import UsageError, YesladderError
from ladder.events import Event, encode
from ladder.tiers import Ladder, builtin_ladder
from stream.checkpoint import Hold
from stream.rejects import RejectBrake
from tests.suites.consumed import CANONICAL, Record
from tests.suites.seeded_lake import LADDER, seeded_events
from warehouse.batches import Batch, Batches
from warehouse.build import build
from warehouse.built import BUILDING
from warehouse.check import check
from warehouse.erased import unfinished
from warehouse.erasure import Found, erase, find, resume
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import run_sql, tiers
from yesladder.cli import cli
from yesladder.resessionise import resessionise

NOW = datetime.now(UTC)


def clock() -> datetime:
    return datetime.now(UTC)


START = NOW - timedelta(days=40)
NAMES = [b"person-ann-phone", b"person-ann-laptop", b"ann@example.com"]


def event(event_id: str, minutes: float, visitor: str, **more: Any) -> Event:
    at = START + timedelta(minutes=minutes)
    kind: dict[str, Any] = {
        "name": "Page Shown",
        "page_url": "https://shop.example/a?who=me",
        "occurred_at": at,
        "received_at": at,
    }
    return Event(event_id=event_id, visitor_id=visitor, **(kind | more))


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


def test_one_id_leads_to_all_that_were_seen_together_with_it(lake: Lake) -> None:
    for one in ("person-ann-phone", "person-ann-laptop", "ann@example.com"):
        assert find(lake, [one]) == Found(
            ("person-ann-laptop", "person-ann-phone"),
            ("ann@example.com",),
            {"events": 4, "sessions": 2, "rejects": 1},
        )
    with pytest.raises(UsageError, match=r"^nobody at all: nothing in this lake has such"):
        find(lake, ["nobody at all", "person-bob"])


def test_a_person_is_nowhere_in_the_warehouse_any_more(lake: Lake, gate: Gate) -> None:
    kept = SavedFunnels({"read": ask(["Page Shown", "Page Read"], by="user_id")}, LADDER)
    build(lake, LADDER, gate=gate, now=NOW, kept=kept)
    warehouse = lake.root.parent
    assert len(mentions(lake)) > 3
    before = ids(lake)
    with pytest.raises(UsageError, match="the marts are those of the ladder 'small', and the one given is 'built-in'"):
        erase(lake, builtin_ladder(), ["person-ann-laptop"], gate=gate, clock=clock)
    assert ids(lake) == before
    receipt = erase(lake, LADDER, ["person-ann-laptop"], gate=gate, clock=clock)
    assert mentions(lake) == set()
    assert ids(lake) == before - {"a1", "a2", "a3", "a4"}
    assert receipt.rows == {"events": 4, "sessions": 2, "rejects": 1}
    assert receipt.marts_rebuilt
    kept = json.loads((warehouse / "erasures" / f"{receipt.name}.json").read_text())
    assert kept == json.loads(json.dumps(receipt.to_dict()))
    (bob,) = lake.scan("events").filter(event_id="b1").collect().to_dicts()
    assert (bob["properties"], bob["page_url"]) == ('{"friend": "erased"}', "https://s.example/erased")
    assert run_sql(warehouse, "select count(*) as n from dim_visitors where visitor_id like 'person%'").to_pylist() == [
        {"n": 1}
    ]
    assert lake.scan("rejects").select(pl.len()).collect().item() == 1
    assert check(lake) == []


def test_what_a_first_build_left_that_died_goes_too(lake: Lake) -> None:
    left = lake.root.parent / BUILDING / "20260301T120000-7" / "marts.duckdb"
    left.parent.mkdir(parents=True)
    left.write_bytes(NAMES[0])
    erase(lake, LADDER, ["person-ann-laptop"], clock=clock)
    assert mentions(lake) == set()


def test_anonymised_the_counts_stay_and_nobody_is_known(lake: Lake, gate: Gate) -> None:
    build(lake, LADDER, gate=gate, now=NOW)
    before = [tiers(lake.root.parent, LADDER, unit) for unit in ("session", "visitor")]
    sessions = lake.scan("sessions").select(pl.col("events", "started_at", "highest_tier")).collect()
    erase(lake, LADDER, ["person-ann-laptop"], mode="anonymise", gate=gate, clock=clock)
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
    erase(lake, LADDER, ["person-ann-phone"], mode=mode, clock=clock)
    offset = hold.reached[0]
    again = [event("a9", 9, "person-ann-phone"), event("b3", 9, "person-bob")]
    hold.checkpoint([Record(encode(one), CANONICAL, offset + n, 0, 0) for n, one in enumerate(again)], now=NOW)
    hold.checkpoint([], now=NOW, finish=True)
    assert mentions(lake) == set()
    events = {"b2", "b3"} if mode == "erase" else {"a1", "a2", "b2", "b3"}
    assert ids(lake) == events
    found = lake.scan("sessions").explode("sequence").unnest("sequence", separator=".").collect()
    assert set(found["sequence.event_id"]) == {"b2", "b3"}, "what is anonymous waits for `resessionise`"
    assert Lake(lake.root).claim("kafka:events", [0]).next_offset(0) == offset + 2
    assert check(lake) == []


def test_who_comes_back_after_the_erasure_is_a_new_visitor(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    worker(lake, ANN[:1])
    erase(lake, LADDER, ["person-ann-phone"], clock=lambda: START + timedelta(minutes=5))
    worker(lake, [event("later", 6, "person-ann-phone"), event("before", 4.9, "person-ann-phone")])
    assert ids(lake) == {"later"}


def test_an_erasure_cut_short_is_ended_with_what_came_since_and_counts_all_of_it(lake: Lake) -> None:
    class Cut(Exception):
        pass

    def cut_at(word: str) -> None:
        if word.startswith("emptying"):
            raise Cut

    with pytest.raises(Cut):
        erase(lake, LADDER, ["person-ann-laptop"], progress=cut_at, clock=clock)
    (name,) = unfinished(lake.root.parent)
    with pytest.raises(UsageError, match="an earlier erasure was cut short"):
        erase(lake, LADDER, ["person-bob"], clock=clock)
    with pytest.raises(YesladderError, match="an erasure was cut short and must be ended first"):
        resessionise(lake, LADDER, now=NOW)
    at = datetime.now(UTC)
    since = event("since", 0, "person-ann-watch", user_id="ann@example.com", occurred_at=at, received_at=at)
    worker(lake, [since]).checkpoint([], now=NOW, finish=True)
    receipt = resume(lake, LADDER, name, clock=clock)
    assert (receipt.name, receipt.rows) == (name, {"events": 5, "sessions": 3, "rejects": 1})
    assert unfinished(lake.root.parent) == {}
    assert mentions(lake) == set()
    assert not any(b"person-ann-watch" in data for _, data in everything(lake.root.parent))


def test_short_ids_are_matched_whole_in_dead_letters_and_not_sought_in_the_texts_of_others(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    other = event("o", 1, "other", properties='{"count": 7, "id": "7"}')
    worker(lake, [event("s", 0, "7"), other], LADDER, b'{"visitor_id": "7"', b'{"visitor_id": "17"')
    erase(lake, LADDER, ["7"], clock=clock)
    assert lake.scan("rejects").collect()["raw"].to_list() == [b'{"visitor_id": "17"']
    assert lake.scan("events").collect()["properties"].to_list() == ['{"count": 7, "id": "7"}']
    assert isinstance(pq.read_table(lake.files("events")[0], partitioning=None), pa.Table)


@pytest.mark.parametrize("mode", ["erase", "anonymise"])
def test_what_is_left_of_a_session_over_the_erasure_is_cut_anew_though_the_worker_lives_on(
    tmp_path: Path, mode: Any
) -> None:
    lake = Lake(tmp_path / "lake")
    hold = worker(lake, [event("c1", 0, "person-cat"), event("d1", 0, "person-dan"), event("late", 0, "person-eve")])
    erase(lake, LADDER, ["person-cat"], mode=mode, clock=lambda: START + timedelta(minutes=1))
    more = [
        event("c2", 2, "person-cat"),
        event("again", 0.5, "person-cat"),
        event("d2", 2, "person-dan"),
        event("tick", 60 * 24 * 9, "person-eve"),
    ]
    hold.checkpoint([Record(encode(e), CANONICAL, hold.reached[0] + n, 0, 0) for n, e in enumerate(more)], now=NOW)
    hold.checkpoint([], now=NOW, finish=True)
    assert sorted(lake.scan("sessions").collect()["visitor_id"]) == ["person-dan", "person-eve", "person-eve"]
    resessionise(lake, LADDER, now=NOW)
    cut = {
        tuple(mark["event_id"] for mark in row["sequence"]): row["visitor_id"]
        for row in lake.scan("sessions").collect().to_dicts()
    }
    assert {tuple(dict.fromkeys(ids)) for ids in cut} - {("c1",)} == {("c2",), ("d1", "d2"), ("late",), ("tick",)}
    assert (("c1",) in {tuple(dict.fromkeys(ids)) for ids in cut}) == (mode == "anonymise")
    assert check(lake) == []


def test_a_session_of_another_visitor_with_an_erased_user_is_cut_anew_without_them(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    hold = worker(lake, [event("k1", 0, "kiosk"), event("f1", 0, "person-fay", user_id="fay@example.com")])
    erase(lake, LADDER, ["person-fay"], clock=lambda: START + timedelta(minutes=5))
    more = [event("k2", 1, "kiosk", user_id="fay@example.com"), event("tick", 60 * 24 * 9, "tick")]
    hold.checkpoint([Record(encode(e), CANONICAL, hold.reached[0] + n, 0, 0) for n, e in enumerate(more)], now=NOW)
    hold.checkpoint([], now=NOW, finish=True)
    assert resessionise(lake, LADDER, now=NOW).sessions_added == 1
    (session,) = lake.scan("sessions").filter(visitor_id="kiosk").collect().to_dicts()
    assert ({mark["event_id"] for mark in session["sequence"]}, session["user_id"]) == ({"k1"}, None)


@pytest.mark.parametrize("one", ["42", "held", "events", "passed"])
def test_ids_that_are_words_or_numbers_of_ours_leave_verdicts_and_others_as_they_were(
    tmp_path: Path, gate: Gate, one: str
) -> None:
    lake = Lake(tmp_path / "lake")
    others = [
        event(f"o{n}", n, "other", properties=f'{{"order": {one}42, "n": 42}}' if one == "42" else "{}")
        for n in range(42)
    ]
    bad = b'{"visitor_id": "other", "n": 42, "state": "held"}'
    worker(lake, [*others, event("s", 0, one)], LADDER, bad).checkpoint([], now=NOW, finish=True)
    build(lake, LADDER, gate=gate, now=NOW)
    before = lake.scan("events").filter(visitor_id="other").collect().sort("event_id")
    verdicts = [path.read_bytes() for path in sorted((tmp_path / "quality").glob("*/verdict.json"))]
    erase(lake, LADDER, [one], gate=gate, clock=clock)
    after = [path.read_bytes() for path in sorted((tmp_path / "quality").glob("*/verdict.json"))]
    assert set(verdicts) <= set(after)
    build(lake, LADDER, gate=gate, now=clock())
    assert lake.scan("events").filter(visitor_id="other").collect().sort("event_id").equals(before)
    assert lake.scan("events").filter(visitor_id=one).collect().is_empty()
    assert lake.scan("rejects").collect()["raw"].to_list() == [bad]


def test_pages_of_a_batch_held_back_lose_the_rows_they_showed(tmp_path: Path, gate: Gate) -> None:
    lake = Lake(tmp_path / "lake")
    worker(lake, [event("s", 0, "42", name="Page Read"), event("o", 0, "other")]).checkpoint([], now=NOW, finish=True)
    bad = lake.scan("sessions").with_columns(pl.lit(-1, pl.Int32).alias("asks")).collect().to_arrow()
    lake.append("sessions", bad, now=NOW)
    build(lake, LADDER, gate=gate, now=NOW)
    (folder,) = (path.parent for path in (tmp_path / "quality").glob("*/verdict.json"))
    assert Batches(tmp_path / "quality").of_state("held")[0].failures[0].sample
    erase(lake, LADDER, ["42"], gate=gate, clock=clock)
    assert "went with rows that were erased" in (folder / "sessions.html").read_text()
    batch = msgspec.json.decode((folder / "verdict.json").read_bytes(), type=Batch)
    assert batch.failures
    assert not any(failure.sample for failure in batch.failures)
    assert "42@" not in (folder / "index.html").read_text()


def test_dead_letters_of_an_erased_person_do_not_land_again_and_are_enough_to_be_known_by(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    letter, other = b'{"anonymousId": "only-in-letters", "type": 7}', b'{"anonymousId": "someone-else", "type": 7}'
    hold = worker(lake, [], LADDER, letter, other)
    assert find(lake, ["only-in-letters"]).rows == {"events": 0, "sessions": 0, "rejects": 1}
    assert erase(lake, LADDER, ["only-in-letters"], clock=clock).rows["rejects"] == 1
    begin = hold.reached[0]
    hold.checkpoint([Record(raw, CANONICAL, begin + n, 0, 0) for n, raw in enumerate([letter, other])], now=NOW)
    assert lake.scan("rejects").collect()["raw"].to_list() == [other, other]


def test_words_for_nobody_link_nobody_and_a_crowd_must_be_meant(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    crowd = [
        event(f"e{n}", n, f"visitor-{n}", user_id="team@example.com" if n < 25 else "undefined") for n in range(30)
    ]
    worker(lake, crowd).checkpoint([], now=NOW, finish=True)
    assert find(lake, ["visitor-27"]).ids == ("visitor-27",)
    with pytest.raises(UsageError, match="nobody's id"):
        find(lake, ["Undefined"])
    with pytest.raises(UsageError, match=r"25 visitors and 1 users.*--linked 25"):
        erase(lake, LADDER, ["visitor-1"], clock=clock)
    assert unfinished(tmp_path) == {}
    assert erase(lake, LADDER, ["visitor-1"], linked=25, clock=clock).rows["events"] == 25
    assert set(lake.scan("events").collect()["visitor_id"]) == {f"visitor-{n}" for n in range(25, 30)}


def test_a_broken_receipt_is_named_and_nothing_lands_until_it_is_mended(lake: Lake) -> None:
    receipt = erase(lake, LADDER, ["person-ann-phone"], clock=clock)
    path = lake.root.parent / "erasures" / f"{receipt.name}.json"
    path.with_name("broken.json").write_text("{")
    with pytest.raises(YesladderError, match=r"broken\.json is no receipt"):
        worker(lake, [event("x", 0, "x")])


def test_the_command_shows_refuses_and_keeps_no_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake(tmp_path / "lake")
    worker(lake, [*ANN, *BOB]).checkpoint([], now=NOW, finish=True)

    def run(*arguments: str) -> str:
        cli.main(["erase", *arguments, "--warehouse", str(tmp_path)], standalone_mode=False)
        return capsys.readouterr().out

    versions = lake.versions()
    assert "user ids: ann@example.com\n4 events, 2 sessions, 0 rejects" in run("person-ann-phone", "--dry-run")
    for refused in (["nobody at all"], ["null"], [], ["--dry-run"]):
        with pytest.raises(UsageError):
            run(*refused)
    assert (lake.versions(), (tmp_path / "erasures").exists()) == (versions, False)
    said = run("person-ann-phone")
    assert said.startswith("erased: 4 events, 2 sessions, 0 rejects; ")
    assert mentions(lake) == set()
    kept = json.loads(next((tmp_path / "erasures").glob("*.json")).read_text())
    assert kept.keys() == {"name", "mode", "erased_at", "people", "rows", "files_deleted", "pages", "marts_rebuilt"}
    assert len(kept["people"]) == 3
    assert json.loads(run("person-bob", "--anonymise", "--json"))[0]["rows"] == {
        "events": 2,
        "sessions": 1,
        "rejects": 0,
    }
