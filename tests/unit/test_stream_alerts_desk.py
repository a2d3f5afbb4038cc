"""The desk on a real table, outbox, snapshots and notes; the process ends wherever it may."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ladder.tiers import Ladder, load_ladder
from stream.alerts_config import AlertsConfig, Mark, Mute, Sink
from stream.alerts_desk import Desk, Places
from stream.alerts_notice import Alert
from stream.alerts_past import Past
from stream.step_minutes_record import encode
from tests.suites.alert_records import WATCHED, Shop, replace_record, shop
from warehouse.alerts_marks import Notes
from warehouse.alerts_outbox import Outbox
from warehouse.alerts_snapshots import Snapshots
from warehouse.alerts_table import AlertsTable, Row, read_alerts
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced

NOW = datetime(2026, 1, 5, tzinfo=UTC)
CONFIG = AlertsConfig(segments=("device_class",), sinks=(Sink("ops", "webhook", "http://ops"),))


class PowerCut(Exception):
    """The process ended here."""


@dataclass
class Office:
    """What outlives a desk.  ``cut``: where the power goes the next time: before "table", "outbox" or "snapshot"."""

    folder: Path
    past: Past
    ladder: Ladder
    cut: str = ""
    said: list[Alert] = field(default_factory=list)
    learnt: int = 0

    def __post_init__(self) -> None:
        self.lake = Lake(self.folder / "lake")
        self.outbox = _CutOutbox(self.folder / "alerts" / "deliveries.sqlite", self._goes)
        self.snapshots = _CutSnapshots(self.folder / "alerts", self._goes)
        self.notes = Notes(self.folder / "alerts" / "marks")

    def desk(self, config: AlertsConfig = CONFIG, **watched: Any) -> Desk:
        about = replace(WATCHED, **watched)
        places = Places(self._table, self.outbox, self.snapshots, self.notes, self._past)
        return Desk(about, config, self.ladder, places, now=lambda: NOW, say=self.said.append)

    def _table(self) -> AlertsTable:
        return _CutTable(self.lake, "shop", self._goes)

    def _past(self) -> Past:
        self.learnt += 1
        return self.past

    def _goes(self, place: str) -> None:
        if self.cut == place:
            self.cut = ""
            raise PowerCut

    def rows(self) -> list[dict[str, Any]]:
        return read_alerts(self.lake).to_dicts()


class _CutTable(AlertsTable):
    def __init__(self, lake: Lake, ladder: str, goes: Callable[[str], None]) -> None:
        super().__init__(lake, ladder)
        self._goes = goes

    def add(self, rows: Sequence[Row], *, now: datetime) -> None:
        self._goes("table")
        super().add(rows, now=now)


class _CutOutbox(Outbox):
    def __init__(self, path: Path, goes: Callable[[str], None]) -> None:
        super().__init__(path)
        self._goes = goes

    def add(self, *args: Any, **options: Any) -> None:
        self._goes("outbox")
        super().add(*args, **options)


class _CutSnapshots(Snapshots):
    def __init__(self, folder: Path, goes: Callable[[str], None]) -> None:
        super().__init__(folder)
        self._goes = goes

    def save(self, offset: int, data: bytes) -> None:
        self._goes("snapshot")
        super().save(offset, data)


@pytest.fixture(scope="module")
def world() -> Shop:
    return shop(5, live=180, falls=30, lasts=60, each=3)


@pytest.fixture
def office(tmp_path: Path, world: Shop) -> Iterator[Office]:
    one = Office(tmp_path, world.past, load_ladder(Path("ladders/shop.toml")))
    yield one
    one.outbox.close()


def topic(world: Shop) -> list[tuple[int, bytes]]:
    return list(enumerate(map(encode, world.records)))


def told(office: Office) -> list[tuple[str, str]]:
    return [(row["what"], row["segment"]) for row in office.rows() if row["told"]]


TOLD = [("raised", "device_class=mobile"), ("resolved", "device_class=mobile")]


def test_an_alert_is_in_the_table_in_the_outbox_and_said(office: Office, world: Shop) -> None:
    desk = office.desk()
    assert desk.open() == 0
    desk.take(topic(world))
    assert told(office) == TOLD
    assert sorted(alert.notice_id for alert in office.said) == sorted(row["notice_id"] for row in office.rows())
    raised = office.rows()[0]
    assert (raised["kind"], raised["tier_name"], raised["written_at"]) == ("drop", "mini", NOW)
    assert office.outbox.waiting() == {"topic": 2, "ops": 2}
    assert desk.offset == len(world.records)


def test_the_hour_of_an_alert_is_in_the_table_and_in_no_message(office: Office, world: Shop) -> None:
    desk = office.desk()
    desk.open()
    desk.take(topic(world))
    for row in office.rows():
        series = msgspec.json.decode(row["series"])
        assert [set(one) for one in series] == [{"minute", "expected", "came"}] * 61
        assert series[-1]["minute"] * 60 == row["minute"].timestamp()
    parcel = office.outbox.first("ops")
    assert parcel is not None
    assert "series" not in msgspec.json.decode(parcel.body)


@pytest.mark.parametrize(("cut", "kept"), [("table", False), ("outbox", False), ("outbox", True), ("snapshot", True)])
def test_whenever_the_process_ends_each_alert_is_written_and_queued_once(
    office: Office, world: Shop, cut: str, kept: bool
) -> None:
    records = topic(world)
    undisturbed = Office(office.folder / "undisturbed", office.past, office.ladder)
    other = undisturbed.desk()
    other.open()
    other.take(records)

    desk = office.desk()
    offset = desk.open()
    size = 3
    cuts = [30, 33, 66, 90]
    while offset < len(records):
        batch = records[offset : offset + size]
        if cuts and offset >= cuts[0]:
            office.cut = cut
            cuts.pop(0)
        try:
            desk.take(batch)
            if kept:
                desk.keep()
            offset = desk.offset
        except PowerCut:
            desk = office.desk()
            offset = desk.open()
    expected = sorted(row["notice_id"] for row in undisturbed.rows())
    assert sorted(row["notice_id"] for row in office.rows()) == expected
    assert office.outbox.waiting() == undisturbed.outbox.waiting() == {"topic": 2, "ops": 2}
    assert len(office.said) <= len(office.rows())
    undisturbed.outbox.close()


def test_it_goes_on_from_its_snapshot_and_learns_once(office: Office, world: Shop) -> None:
    records = topic(world)
    desk = office.desk()
    desk.open()
    desk.take(records[:40])
    desk.keep()
    desk.take(records[40:60])
    again = office.desk()
    assert again.open() == 40
    again.take(records[40:])
    assert office.learnt == 1
    assert told(office) == TOLD


def test_a_desk_that_was_overtaken_writes_nothing(office: Office, world: Shop) -> None:
    records = topic(world)
    old, new = office.desk(), office.desk()
    old.open()
    new.open()
    new.take(records)
    count = len(office.rows())
    with pytest.raises(Fenced):
        old.take(records)
    assert len(office.rows()) == count


@pytest.mark.parametrize("damage", [b"", b"\x92\xa0\xa0", b"nothing of ours"])
def test_a_snapshot_that_cannot_be_read_is_passed_over(office: Office, world: Shop, damage: bytes) -> None:
    desk = office.desk()
    desk.open()
    desk.take(topic(world)[:40])
    desk.keep()
    path = office.folder / "alerts" / f"state-{40:020}.bin"
    path.write_bytes(damage or path.read_bytes()[:-1000])
    assert office.desk().open() == 0
    assert office.learnt == 1


def test_other_segments_are_learnt_anew_and_another_ladder_is_a_mark(office: Office, world: Shop) -> None:
    desk = office.desk()
    desk.open()
    desk.take(topic(world)[:50])
    desk.keep()
    assert [what for what, _ in told(office)] == ["raised"]
    assert [note.get("what") for note in office.notes.read()] == [None]
    office.desk(topic="other").open()
    assert office.learnt == 2
    assert [what for what, _ in told(office)] == ["raised", "ended"]
    office.desk(ladder_hash="changed").open()
    assert [note.get("what") for note in office.notes.read()] == [None, "ladder shop changed"]


def _gone(path: Path) -> None:
    path.unlink()


def _unreadable(path: Path) -> None:
    path.write_bytes(b"nothing of ours")


def _of_another_release(path: Path) -> None:
    saved = msgspec.msgpack.decode(path.read_bytes())
    path.write_bytes(msgspec.msgpack.encode(saved | {"incidents": b'[[{"alert_id":"x"},true]]'}))


@pytest.mark.parametrize("harm", [_gone, _unreadable, _of_another_release])
def test_what_was_told_and_is_open_is_ended_once_by_who_learns_anew(
    office: Office, world: Shop, harm: Callable[[Path], None]
) -> None:
    desk = office.desk()
    desk.open()
    desk.take(topic(world)[:50])
    desk.keep()
    [raised] = [row for row in office.rows() if row["told"]]

    def learn_anew() -> None:
        for path in (office.folder / "alerts").glob("state-*.bin"):
            harm(path)
        office.desk().open()

    office.cut = "outbox"
    with pytest.raises(PowerCut):
        learn_anew()
    learn_anew()
    learn_anew()
    assert [(row["what"], row["alert_id"], row["segment"]) for row in office.rows() if row["told"]] == [
        ("raised", raised["alert_id"], "device_class=mobile"),
        ("ended", raised["alert_id"], "device_class=mobile"),
    ]
    assert office.outbox.waiting() == {"topic": 2, "ops": 2}


def test_unreadable_snapshots_do_not_push_out_the_one_that_can_be_read(office: Office) -> None:
    for offset in (500, 600, 700):
        office.snapshots.save(offset, b"of another release")
    office.desk().open()
    assert [offset for offset, _ in office.snapshots.newest_first()] == [0]
    assert office.desk().open() == 0
    assert office.learnt == 1


def test_before_the_first_event_nothing_is_learnt_for_good(office: Office, world: Shop) -> None:
    """Between what the lake holds and what comes may lie any time, which is nobody's silence."""
    office.past = replace(world.past, positions={}, reached_us={})
    desk = office.desk()
    assert desk.open() == 0
    desk.keep()
    assert desk.watch is None
    assert office.desk().open() == 0
    assert office.learnt == 2
    later = 3 * 24 * 3600 * 1_000_000
    first = msgspec.structs.replace(
        world.records[0], reached_us=(world.records[0].reached_us or 0) + later, asks=(), yeses=(), first=0, next=0
    )
    desk.take([(0, encode(first))])
    assert desk.watch is not None
    assert desk.watch.known == 4
    assert office.rows() == []


def test_marks_and_mutes_are_heard_while_it_runs(office: Office, world: Shop) -> None:
    records = topic(world)
    desk = office.desk()
    desk.open()
    deploy = datetime.fromtimestamp(world.falls * 60 - 120, UTC)
    mute = {"at": deploy.isoformat(), "until": (deploy + timedelta(hours=5)).isoformat(), "step": "add to cart"}
    office.notes.add({"at": deploy.isoformat(), "what": "deploy 4.2"})
    office.notes.add(mute | {"reason": "known"})
    office.notes.add({"what": "no time"})
    desk.take(records)
    assert told(office) == []
    raised = office.rows()[0]
    assert (raised["quiet"], raised["mark"], raised["marked_at"]) == ("known", "deploy 4.2", deploy)
    assert office.outbox.waiting() == {}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (replace(CONFIG, mutes=(Mute(tier="mini", reason="tier"),)), "tier"),
        (replace(CONFIG, mutes=(Mute(reason="all"),)), "all"),
        (replace(CONFIG, least_volume=10_000.0), "fewer than 10000 asks an hour"),
    ],
)
def test_what_alerts_toml_mutes_is_recorded_and_not_told(
    office: Office, world: Shop, config: AlertsConfig, why: str
) -> None:
    desk = office.desk(config)
    desk.open()
    desk.take(topic(world))
    assert told(office) == []
    assert office.rows()[0]["quiet"] == why


def test_marks_of_alerts_toml_count_too(office: Office, world: Shop) -> None:
    at = datetime.fromtimestamp(world.falls * 60 - 600, UTC)
    desk = office.desk(replace(CONFIG, marks=(Mark(at, "price change"),)))
    desk.open()
    desk.take(topic(world))
    assert office.rows()[0]["mark"] == "price change"


def test_what_is_no_record_is_passed_over(office: Office, world: Shop) -> None:
    desk = office.desk()
    desk.open()
    desk.take([(0, b""), (1, b"{"), (2, b'{"version":2}'), *((n + 3, v) for n, v in topic(world))])
    assert told(office) == TOLD


def test_the_log_tells_of_what_is_not_judged_and_of_workers_with_other_files_once(
    office: Office, world: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    desk = office.desk()
    desk.open()
    strange = [replace_record(record, segments=(), asks=(), yeses=()) for record in world.records[:4]]
    desk.take([(n, encode(record)) for n, record in enumerate([*strange, *world.records[4:6]])])
    logged = [record.getMessage() for record in caplog.records]
    assert len([line for line in logged if "segments [] are passed over" in line]) == 1
    assert [line for line in logged if "offsets" in line] == [
        "nothing tells of 200 offsets of partition 0 before 1200: their minutes are not judged",
        "nothing tells of 200 offsets of partition 1 before 700: their minutes are not judged",
    ]
