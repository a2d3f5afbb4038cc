"""What is particular to a lake in an object store: answers that get lost, leftovers, leases, erasures, copies."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ladder.errors import UsageError, YesladderError
from ladder.tables import TABLES
from tests.suites.object_store import CREDENTIALS, S3, Server
from tests.suites.seeded_lake import LADDER, event_rows, land, seeded_events, session_rows
from warehouse import lake_logs
from warehouse.check import check
from warehouse.compaction import compact
from warehouse.erasure import erase
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.lake_copies import forget_copies
from warehouse.lake_files import Part
from warehouse.lake_leftovers import leftovers, never_to_be_named
from warehouse.located import COPIES, has_lake, lake_of
from warehouse.locks import Locked
from warehouse.maintain import maintain
from warehouse.object_store import ObjectStore, checked_url, unreachable
from warehouse.vacuum import vacuum

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMIT = "^PUT .*_delta_log/[0-9]+.json"
DAY = timedelta(days=1)


STORES = ["s3", "gs", pytest.param("abfss", marks=pytest.mark.long)]
in_each = pytest.mark.parametrize("server", STORES, indirect=True)
"""Where it hangs on the protocol; else one of them will do, the quickest."""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    found: Server = request.getfixturevalue(getattr(request, "param", "gs"))
    yield found
    found.go_wrong()


@pytest.fixture
def lake(server: Server, tmp_path: Path) -> Lake:
    return server.lake(tmp_path)


def elsewhere(lake: Lake, tmp_path: Path) -> Lake:
    """The same lake from another machine."""
    return Lake(tmp_path / "elsewhere" / COPIES, lake.store)


def ids(lake: Lake) -> list[str]:
    return sorted(lake.scan("events").select("event_id").collect()["event_id"].to_list())


def files_in(lake: Lake) -> list[str]:
    if lake.store is None:
        raise TypeError("not in a store")
    return [one.name for one in lake.store.list("events") if one.name.endswith(".parquet") and "_delta" not in one.name]


@in_each
@pytest.mark.parametrize("what", ["lost", "cut_after", "late", "cut", "slow_down"])
def test_a_commit_whose_answer_is_lost_is_known_for_done_and_one_that_never_came_is_made(
    what: str, server: Server, lake: Lake
) -> None:
    events = seeded_events(1, 2)
    server.hits()
    server.go_wrong({"what": what, "times": 1, "fits": COMMIT})
    lake.append("events", event_rows(events[:3]), now=NOW)
    assert [hit.partition(" ")[0] for hit in server.hits()] == [what]
    old = lake.files("events")
    server.go_wrong({"what": what, "times": 1, "fits": COMMIT})
    lake.replace("events", old, [Part(NOW.date(), event_rows(events[:2]))], rearranges=False, now=NOW)
    assert lake.versions()["events"] == 2
    assert ids(lake) == sorted(event.event_id for event in events[:2])


def test_a_file_sent_in_parts_whose_last_answer_is_lost_is_there_all_the_same(server: Server, lake: Lake) -> None:
    events = seeded_events(1, 2)
    server.hits()
    server.go_wrong({"what": "lost", "times": 1, "fits": r"^POST .*parquet\?uploadId"})
    lake.append("events", event_rows(events[:3]), now=NOW)
    assert len(server.hits()) == 1
    assert ids(lake) == sorted(event.event_id for event in events[:3])


@in_each
def test_of_two_commits_of_one_number_on_their_way_at_once_neither_is_lost(
    server: Server, lake: Lake, tmp_path: Path
) -> None:
    """The first has looked and found its number free; the second takes it while the first is under way."""
    events, other = seeded_events(1, 2), elsewhere(lake, tmp_path)
    server.hits()
    server.go_wrong({"what": "slow", "times": 1, "fits": COMMIT})
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(lake.append, "events", event_rows(events[:3]), now=NOW)
        until = time.monotonic() + 10
        while not server.hits() and time.monotonic() < until:
            time.sleep(0.01)
        other.append("events", event_rows(events[3:6]), now=NOW)
        overtook = not first.done()
        first.result()
    assert overtook
    assert ids(lake) == sorted(event.event_id for event in events[:6])


def test_a_store_that_is_away_is_told_in_one_line_without_credentials(server: Server, lake: Lake) -> None:
    server.go_wrong({"what": "cut", "fits": COMMIT})
    with pytest.raises(YesladderError, match=rf"table {server.scheme}://lakes/lake-\d+/events: ") as caught:
        lake.append("events", event_rows(seeded_events(1, 1)), now=NOW)
    server.go_wrong()
    assert "\n" not in str(caught.value)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert lake.files("events") == []


def test_a_commit_that_took_too_long_is_given_up_before_its_files_count_as_leftovers(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_logs, "_COMMIT_WITHIN_S", -1.0)
    with pytest.raises(YesladderError, match="nothing was committed"):
        lake.append("events", event_rows(seeded_events(1, 1)), now=NOW)
    assert lake.files("events") == []


@in_each
def test_what_was_replaced_goes_after_the_grace_and_what_was_never_committed_after_an_hour(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = seeded_events(3, 4)
    lake.append("events", event_rows(events[:3]), now=NOW)
    lake.append("events", event_rows(events[3:6], first=3), now=NOW)
    compact(lake, "events", lake.logged("events"), now=NOW)
    if lake.store is None:
        raise TypeError
    lake.store.put("events/landed_date=2026-01-01/left.parquet", b"PAR1")
    found = vacuum(lake, (), keep=DAY, now=NOW + DAY - timedelta(seconds=1))
    assert (found.files, found.kept) == (0, 3)
    found = vacuum(lake, (), keep=DAY, now=NOW + DAY)
    assert (found.files, found.kept) == (2, 1)
    assert lake.store.list("removed") == []
    (left,) = [one for one in lake.store.list("events") if one.name.endswith("left.parquet")]
    while lake.store.now("upkeep/clock") < left.changed_at:  # one tells whole seconds, the other parts of them
        time.sleep(0.05)
    monkeypatch.setattr("warehouse.vacuum.LEFTOVER_AFTER", timedelta(0))
    assert vacuum(lake, (), keep=timedelta(0), now=NOW).files == 1
    assert files_in(lake) == [f"events/{file.path}" for file in lake.logged("events")]
    assert ids(lake) == sorted(event.event_id for event in events[:6])


def test_copies_go_with_the_files_that_they_are_of_but_for_those_that_marts_need(lake: Lake) -> None:
    lake.append("events", event_rows(seeded_events(3, 2)), now=NOW)
    lake.append("events", event_rows(seeded_events(4, 2, prefix="f")), now=NOW)
    old = lake.files("events")
    lake.fetch(old)
    compact(lake, "events", lake.logged("events"), now=NOW)
    needed = Path(old[0]).relative_to(lake.root).as_posix()
    forget_copies(lake, [needed])
    assert [Path(file).exists() for file in old] == [True, False]


def test_a_copy_stays_for_its_readers_from_when_its_file_is_replaced_not_from_when_it_was_fetched(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append("events", event_rows(seeded_events(3, 2)), now=NOW)
    lake.append("events", event_rows(seeded_events(4, 2, prefix="f")), now=NOW)
    old = [Path(file) for file in lake.files("events")]
    lake.fetch(map(str, old))
    begun = time.time()
    for file in old:
        os.utime(file, (begun - 7200, begun - 7200))
    compact(lake, "events", lake.logged("events"), now=NOW)
    stays = timedelta(minutes=10)
    assert forget_copies(lake, [], older_than=stays) == 0
    monkeypatch.setattr(time, "time", lambda: begun + 590)
    assert forget_copies(lake, [], older_than=stays) == 0
    assert all(file.exists() for file in old)
    monkeypatch.setattr(time, "time", lambda: begun + 660)
    assert forget_copies(lake, [], older_than=stays) > 0
    assert not any(file.exists() for file in old)


def test_a_commit_that_slept_through_its_time_is_given_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock stands still while a machine is suspended; the store's, and its upkeep, go on."""
    handle = lake.table("events")
    written = lake.added("events", event_rows(seeded_events(1, 1)), NOW)
    woken = time.time() + 1900
    monkeypatch.setattr(time, "time", lambda: woken)
    with pytest.raises(YesladderError, match="nothing was committed"):
        lake.commit_log(handle, "events", written, {})
    assert lake.files("events") == []


@pytest.mark.parametrize("replaces", [False, True])
def test_a_commit_of_a_file_that_was_long_on_its_way_is_given_up(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    rows = event_rows(seeded_events(1, 1))
    if replaces:
        lake.append("events", rows, now=NOW)
    before, store = lake.files("events"), lake.store
    assert store is not None
    put = store.put
    monkeypatch.setattr(lake_logs, "_COMMIT_WITHIN_S", 0.5)

    def slow(name: str, data: bytes) -> None:
        put(name, data)
        if name.endswith(".parquet"):
            time.sleep(0.6)

    monkeypatch.setattr(store, "put", slow)

    def commit() -> None:
        if replaces:
            lake.replace("events", before, [Part(NOW.date(), rows)], rearranges=True, now=NOW)
        else:
            lake.append("events", rows, now=NOW)

    with pytest.raises(YesladderError, match="nothing was committed"):
        commit()
    assert lake.files("events") == before


@in_each
def test_a_machine_that_slept_between_its_last_look_and_its_put_names_no_file_that_was_deleted_meanwhile(
    server: Server, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create: Callable[..., None] = lake_logs._create_entry
    woken = time.time() + 7200

    def slept(*arguments: object) -> None:
        monkeypatch.setattr(lake_logs, "_create_entry", create)
        monkeypatch.setattr("warehouse.vacuum.LEFTOVER_AFTER", timedelta(0))
        other, deleted = elsewhere(lake, tmp_path), 0
        until = time.monotonic() + 5
        while not deleted and time.monotonic() < until:  # the store's clock tells whole seconds
            deleted = vacuum(other, (), keep=timedelta(0), now=NOW).files
        assert deleted == 1
        monkeypatch.setattr(time, "time", lambda: woken)
        create(*arguments)

    monkeypatch.setattr(lake_logs, "_create_entry", slept)
    with pytest.raises(YesladderError, match="nothing was committed"):
        lake.append("events", event_rows(seeded_events(1, 1)), now=NOW)
    assert lake.files("events") == files_in(lake) == []


def test_a_file_that_is_committed_while_leftovers_are_looked_for_is_none(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, written = lake.table("events"), lake.added("events", event_rows(seeded_events(1, 1)), NOW)
    found = leftovers(lake)
    lake.commit_log(handle, "events", written, {})
    assert len(found) == 1
    assert never_to_be_named(elsewhere(lake, tmp_path), found) == []


def test_a_fetch_clears_away_what_a_killed_one_left(lake: Lake) -> None:
    lake.append("events", event_rows(seeded_events(1, 1)), now=NOW)
    (file,) = map(Path, lake.files("events"))
    file.parent.mkdir(parents=True)
    draft = file.with_name("gone.parquet.1-2.new")
    draft.touch()
    hours_ago = time.time() - 7200
    os.utime(draft, (hours_ago, hours_ago))
    lake.fetch([str(file)])
    assert list(file.parent.iterdir()) == [file]


def test_one_upkeep_at_a_time_on_all_machines_until_its_lease_runs_out(lake: Lake, tmp_path: Path) -> None:
    other = elsewhere(lake, tmp_path)
    other.root.parent.mkdir()
    with (
        lake.upkeep(NOW),
        pytest.raises(Locked, match="another machine is at its upkeep"),
        other.upkeep(NOW + timedelta(minutes=14)),
    ):
        pass
    with lake.upkeep(NOW), other.upkeep(NOW + timedelta(minutes=16)):
        pass
    with other.upkeep(NOW):
        pass


@in_each
def test_of_two_upkeeps_all_the_same_the_later_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    land(lake, seeded_events(3, 4), now=NOW)
    stale = elsewhere(lake, tmp_path)
    files = stale.files("events")
    maintain(lake, keep=timedelta(0), now=NOW)
    rows = lake.scan("events").collect()
    lake.replace("events", lake.files("events"), [Part(NOW.date(), rows.to_arrow())], rearranges=True, now=NOW)
    with pytest.raises(YesladderError, match="is no file of the table events any more; nothing was replaced"):
        stale.replace("events", files, [], rearranges=False, now=NOW)
    assert lake.scan("events").collect().sort("event_id").equals(rows.sort("event_id"))


def test_whoever_is_erased_on_one_machine_lands_no_more_from_any_other(lake: Lake, tmp_path: Path) -> None:
    events = seeded_events(5, 3)
    other = elsewhere(lake, tmp_path)
    other.root.parent.mkdir()
    land(lake, events, now=NOW)
    other.append("events", event_rows(events[:1], first=900), now=NOW)  # knows of no erasure yet
    receipt = erase(lake, LADDER, ["visitor-1"], clock=lambda: NOW + timedelta(days=900))
    assert receipt.rows["events"] == sum(event.visitor_id == "visitor-1" for event in [*events, events[0]])
    other.append("events", event_rows(events, first=1000), now=NOW)
    there = other.scan("events").select("visitor_id").unique().collect()["visitor_id"].to_list()
    assert sorted(there) == ["visitor-0", "visitor-2"]


def test_who_is_erased_while_a_commit_is_under_way_is_not_in_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = seeded_events(5, 2)
    other = elsewhere(lake, tmp_path)
    other.root.parent.mkdir()
    land(lake, events, now=NOW)
    create: Callable[..., None] = lake_logs._create_entry

    def overtaken(*arguments: object) -> None:
        monkeypatch.undo()
        erase(lake, LADDER, ["visitor-1"], clock=lambda: NOW + timedelta(days=900))
        create(*arguments)

    monkeypatch.setattr(lake_logs, "_create_entry", overtaken)
    other.append("events", event_rows(events, first=1000), now=NOW)
    assert lake.scan("events").filter(pl.col("visitor_id") == "visitor-1").collect().is_empty()
    assert len(lake.scan("events").collect()) == 2 * sum(event.visitor_id == "visitor-0" for event in events)


def test_counts_of_erasures_that_a_crash_left_apart_hide_none(lake: Lake, tmp_path: Path) -> None:
    events = seeded_events(5, 2)
    other = elsewhere(lake, tmp_path)
    other.root.parent.mkdir()
    land(lake, events, now=NOW)
    for _ in range(3):  # told to one table, and then the machine was gone
        lake.step("events", "erasures", lambda was: (was or 0) + 1)
    other.append("events", event_rows(events[:1], first=900), now=NOW)
    erase(lake, LADDER, ["visitor-1"], clock=lambda: NOW + timedelta(days=900))
    assert lake.table("sessions").transaction_version("erasures") == 3
    other.append("sessions", session_rows(events), now=NOW)
    assert lake.scan("sessions").filter(pl.col("visitor_id") == "visitor-1").collect().is_empty()


@in_each
def test_a_lost_and_a_damaged_file_are_found_though_a_copy_of_them_is_there(lake: Lake) -> None:
    land(lake, seeded_events(3, 3), now=NOW)
    lake.fetch([*lake.files("events"), *lake.files("sessions")])
    (events,), (sessions,) = lake.logged("events"), lake.logged("sessions")
    if lake.store is None:
        raise TypeError
    data = lake.store.get(f"events/{events.path}")
    lake.store.put(f"events/{events.path}", data[:500] + bytes(20) + data[520:])
    lake.store.delete(f"sessions/{sessions.path}")
    found = {fault.where.partition("/")[0]: fault.what for fault in check(lake)}
    assert found["sessions"] == "the log names it and it is not there"
    assert "cannot be read to its end" in found["events"]


def test_a_warehouse_knows_where_its_lake_is_and_no_credentials(s3: S3, tmp_path: Path) -> None:
    url = s3.url()
    assert not has_lake(tmp_path)
    lake_of(tmp_path, url + "/", s3.options)
    assert json.loads((tmp_path / "lake.json").read_text()) == {
        "url": url,
        "options": {"AWS_ENDPOINT_URL": s3.endpoint},
    }
    assert has_lake(tmp_path)
    with pytest.raises(UsageError, match=r"is at s3://lakes/lake-\d+: for s3://lakes/other take another folder"):
        lake_of(tmp_path, "s3://lakes/other", s3.options)
    Lake(tmp_path / "b" / "lake")
    with pytest.raises(UsageError, match="has a lake of its own"):
        lake_of(tmp_path / "b", url, s3.options)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///tmp/x", "no place for a lake"),
        ("s3://", "no place for a lake"),
        ("s3://bucket/a b", "letters, digits"),
        ("s3://bucket/a//b", "letters, digits"),
        ("s3://bucket/a?x=1", "no password"),
        ("gs://a:b@bucket/x", "no password"),
        ("s3://key:a/secret@bucket/x", "letters, digits"),
    ],
)
def test_an_address_that_no_lake_can_be_at_is_refused(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        checked_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("HTTP error\n  ↳ error sending request\n \x1b[31m↳\x1b[0m client error (Connect)", "nobody answers"),
        ("error sending request operation timed out", "nobody answers"),
        ("Error performing PUT http://169.254.169.254/latest/api/token in 4ms", "it wants credentials"),
        ("Server returned non-2xx status code: 403 Forbidden: InvalidAccessKeyId", "it wants credentials"),
        ("Server returned non-2xx status code: 404 Not Found: NoSuchBucket", "there is no such bucket"),
        ("Server returned error status code: 503 Service Unavailable", "the store itself is in trouble"),
        ("something new", "something new"),
    ],
)
def test_what_a_client_says_becomes_one_line_that_says_whose_fault_it_is(said: str, fault: str) -> None:
    told = str(unreachable("s3://b/x", OSError(said)))
    assert told.startswith(f"s3://b/x cannot be reached: {fault}")
    assert not {"\n", "\x1b", "↳"} & set(told)


def test_addresses_of_all_stores_are_taken_and_a_plain_endpoint_is_said_once() -> None:
    azure = "abfss://container@account.dfs.core.windows.net/a/lake"
    assert [ObjectStore(url).url for url in ("s3://b/x/", "gs://b/x", azure)] == ["s3://b/x", "gs://b/x", azure]
    assert ObjectStore("s3://b/x", {"AWS_ENDPOINT_URL": "http://minio:9000"}).options["AWS_ALLOW_HTTP"] == "true"
    assert ObjectStore("s3://b/x", {"AWS_ENDPOINT_URL": "https://minio"}).options.keys() == {"AWS_ENDPOINT_URL"}


def test_credentials_are_in_no_log(s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    s3.go_wrong({"what": "slow_down", "times": 2, "fits": "PUT"})
    land(s3.lake(tmp_path), seeded_events(3, 1), now=NOW)
    assert not [record for record in caplog.records if CREDENTIALS["AWS_SECRET_ACCESS_KEY"] in record.getMessage()]


@in_each
def test_a_fenced_worker_stays_fenced_also_where_its_own_answers_are_lost(server: Server, lake: Lake) -> None:
    from ladder.tables import LANDED, Position

    empty = {name: one.remove(one.get_field_index(LANDED.name)).empty_table() for name, one in TABLES.items()}
    stale, fresh = lake.claim("kafka:e", [0]), lake.claim("kafka:e", [0])
    server.go_wrong({"what": "lost", "fits": COMMIT})
    fresh.commit(empty, {0: Position(1)}, NOW)
    with pytest.raises(Fenced):
        stale.commit(empty, {0: Position(1)}, NOW)
    assert lake.versions()["sessions"] == 1
