from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ladder.tables import ALERTS, BESIDE
from tests.suites.alert_findings import alert_row
from warehouse.alerts_marks import Notes
from warehouse.alerts_snapshots import Snapshots
from warehouse.alerts_table import AlertsTable, read_alerts, show_alerts
from warehouse.check import check
from warehouse.lake import Lake
from warehouse.lake_appending import Fenced
from warehouse.maintain import maintain

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def ids(lake: Lake) -> list[str]:
    found: list[str] = read_alerts(lake)["notice_id"].to_list()
    return found


def test_a_notice_is_written_once(lake: Lake) -> None:
    assert ids(lake) == []
    table = AlertsTable(lake, "shop")
    table.add([alert_row(1), alert_row(2)], now=NOW)
    table.add([alert_row(2), alert_row(3)], now=NOW)
    assert ids(lake) == ["n1", "n2", "n3"]
    again = AlertsTable(lake, "shop")
    assert again.told == {"n1", "n2", "n3"}
    again.add([alert_row(3)], now=NOW)
    assert ids(lake) == ["n1", "n2", "n3"]


def test_who_was_overtaken_writes_nothing(lake: Lake) -> None:
    old, new = AlertsTable(lake, "shop"), AlertsTable(lake, "shop")
    old.add([alert_row(1)], now=NOW)
    with pytest.raises(Fenced):
        new.add([alert_row(2)], now=NOW)
    assert ids(lake) == ["n1"]
    old.add([alert_row(3)], now=NOW)
    assert ids(lake) == ["n1", "n3"]


def test_ladders_do_not_get_in_each_others_way(lake: Lake) -> None:
    shop, course = AlertsTable(lake, "shop"), AlertsTable(lake, "course")
    shop.add([alert_row(1)], now=NOW)
    course.add([alert_row(2, ladder="course")], now=NOW)
    shop.add([alert_row(3)], now=NOW)
    assert ids(lake) == ["n1", "n2", "n3"]
    assert AlertsTable(lake, "course").told == {"n2"}


def test_upkeep_and_checks_leave_it_as_it_is(lake: Lake) -> None:
    AlertsTable(lake, "shop").add([alert_row(1)], now=NOW)
    later = NOW + timedelta(days=400)
    maintain(lake, keep=timedelta(), now=later)
    assert ids(lake) == ["n1"]
    assert check(lake) == []
    AlertsTable(lake, "shop").add([alert_row(2, minute=later)], now=later)
    assert ids(lake) == ["n1", "n2"]


def test_a_lost_file_of_it_is_found(lake: Lake) -> None:
    AlertsTable(lake, "shop").add([alert_row(1)], now=NOW)
    Path(lake.files("alerts")[0]).unlink()
    assert [fault.where.split("/")[0] for fault in check(lake)] == ["alerts"]


def test_duckdb_sees_it_as_it_is_now(lake: Lake) -> None:
    with duckdb.connect() as connection:
        show_alerts(connection, lake.root.parent)
        assert connection.execute("select notice_id, fall, minute from alerts").fetchall() == []
        AlertsTable(lake, "shop").add([alert_row(1)], now=NOW)
        show_alerts(connection, lake.root.parent)
        assert connection.execute("select notice_id, fall from alerts").fetchall() == [("n1", 0.4)]


def test_a_table_of_before_a_column_is_read_without_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        older = ALERTS.remove(ALERTS.get_field_index("series"))
        before.setitem(BESIDE, "alerts", older)
        before.setattr("warehouse.alerts_table.ALERTS", older)
        AlertsTable(lake, "shop").add([alert_row(1)], now=NOW)
    assert "series" not in lake.scan("alerts").collect().columns
    assert read_alerts(lake).select("notice_id", "series").rows() == [("n1", None)]
    with duckdb.connect() as connection:
        show_alerts(connection, lake.root.parent)
        assert connection.execute("select notice_id, series, headline from alerts").fetchall() == [("n1", None, "h")]


def test_of_snapshots_the_newest_is_first_and_few_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "alerts")
    assert snapshots.newest_first() == []
    for offset in (5, 1000, 20, 7):
        snapshots.save(offset, b"%d" % offset)
    assert snapshots.newest_first() == [(1000, b"1000"), (20, b"20"), (7, b"7")]
    snapshots.forget()
    assert snapshots.newest_first() == []


def test_a_note_that_a_crash_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "alerts" / "marks"
    notes = Notes(path)
    assert notes.read() == []
    notes.add({"what": "deploy 4.1"})
    with path.open("ab") as file:
        file.write(b'{"what": "depl')
    notes.add({"what": "deploy 4.2"})
    assert notes.read() == [{"what": "deploy 4.1"}, {"what": "deploy 4.2"}]


def test_left_open_is_what_people_were_told_of_and_whose_end_they_were_not(lake: Lake) -> None:
    table = AlertsTable(lake, "shop")
    later = NOW + timedelta(minutes=9)
    rows = [
        alert_row(1),
        alert_row(2, what="joined", told=False),
        alert_row(3, alert_id="a2"),
        alert_row(4, alert_id="a2", what="resolved", minute=later),
        alert_row(5, alert_id="a3", told=False),
        alert_row(6, alert_id="a4", told=False),
        alert_row(7, alert_id="a4", minute=later),
        alert_row(8, alert_id="a5"),
    ]
    table.add(rows, now=NOW)
    table.add([alert_row(9, alert_id="a5", what="ended")], now=later)
    AlertsTable(lake, "course").add([alert_row(10, alert_id="a6", ladder="course")], now=NOW)
    assert {row["notice_id"] for row in table.left_open(since=later)} == {"n1", "n7", "n8"}
    assert {row["notice_id"] for row in table.left_open(since=later + timedelta(seconds=1))} == {"n1", "n7"}


def test_a_snapshot_that_is_set_aside_is_not_read_again_and_stays(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    for offset in (5, 6, 7, 8, 9):
        snapshots.save(offset, b"x")
        snapshots.set_aside(offset)
    assert snapshots.newest_first() == []
    assert [path.name[-16:] for path in sorted(tmp_path.iterdir())] == [f"{n}.bin.unreadable" for n in (7, 8, 9)]
