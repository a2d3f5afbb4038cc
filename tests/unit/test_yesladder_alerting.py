from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from ladder.errors import UsageError
from tests.suites.alert_findings import alert_row
from tests.suites.alert_road import LADDER_TEXT, rows_of, world
from tests.suites.alert_world import simulate
from tests.suites.webhook import webhook
from warehouse.alerts_marks import Notes
from warehouse.alerts_table import AlertsTable as Table
from warehouse.lake import Lake
from yesladder.cli import cli

START = 2600


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = simulate(2800, [15.0], [0.4], 3, falls=[0.7], since=START)
    asked, _ = np.nonzero(world.asks)
    arrived, delay, _ = np.nonzero(world.yeses)
    asks = pl.DataFrame(
        {"key": "shop / e-mail", "ask_minute": asked, "delay_minutes": None, "count": world.asks[asked, 0]}
    )
    yeses = pl.DataFrame(
        {
            "key": "shop / e-mail",
            "ask_minute": arrived - delay,
            "delay_minutes": delay,
            "count": world.yeses[arrived, delay, 0],
        }
    )
    path = tmp_path_factory.mktemp("alerts") / "counts.parquet"
    whole = pl.exclude("key").cast(pl.Int64)
    pl.concat([asks.with_columns(whole), yeses.with_columns(whole)]).write_parquet(path)
    return path


def invoke(*words: str) -> str:
    done = CliRunner().invoke(cli, ["alerts", "backtest", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_json_holds_the_alarms_and_nothing_else(file: Path) -> None:
    answer = json.loads(invoke(str(file), "--live-from", "2500", "--json"))

    (alarm,) = answer.pop("alarms")
    assert answer == {}
    assert sorted(alarm) == ["change_point", "key", "kind", "lost", "minute"]
    assert (alarm["key"], alarm["kind"]) == ("shop / e-mail", "drop")
    assert START < alarm["minute"] < START + 15
    assert abs(alarm["change_point"] - START) < 5


def test_patience_is_set_by_arl_or_by_a_budget_of_all(file: Path) -> None:
    minutes = [
        json.loads(invoke(str(file), "--live-from", "2500", "--json", *more))["alarms"][0]["minute"]
        for more in (["--arl", "20"], ["--arl", "1e20"], ["--budget", "1"], [])
    ]

    assert minutes[0] < minutes[3] < minutes[1]
    assert minutes[2] == minutes[3]


def test_the_table_names_the_alarm_and_what_a_threshold_would_have_done(file: Path) -> None:
    shown = invoke(str(file), "--live-from", "2500")

    assert "1 alarm in " in shown
    assert "shop / e-mail" in shown
    assert "would have fired 1 time." in shown
    assert shown.count("2640") == 2


def test_a_bad_file_is_the_callers_mistake(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("key,count\n")

    with pytest.raises(UsageError, match="has no column ask_minute"):
        invoke(str(tmp_path / "bad.csv"))


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty hours of a shop, in the last of which mobile people buy less, and a row in the table of alerts."""
    folder = tmp_path_factory.mktemp("warehouse")
    shop = world(NOON, history=timedelta(hours=27), live=timedelta(minutes=90), falls_for=timedelta(minutes=60))
    lake = Lake(folder / "lake")
    lake.append("events", shop.history, now=NOON)
    lake.append("events", rows_of(list(shop.live)), now=NOON)
    (folder / "ladder.toml").write_text(LADDER_TEXT, encoding="utf-8")
    (folder / "alerts.toml").write_text('segments = ["device_class"]\n', encoding="utf-8")
    return folder


def alerts(*words: object) -> Result:
    return CliRunner().invoke(cli, ["alerts", *map(str, words)])


def test_without_a_file_the_backtest_replays_the_lake_by_the_segments_of_alerts_toml(warehouse: Path) -> None:
    where = ["--warehouse", warehouse, "--ladder", warehouse / "ladder.toml", "--alerts", warehouse / "alerts.toml"]
    began = int((NOON - timedelta(minutes=90)).timestamp()) // 60
    done = alerts("backtest", *where, "--live-from", began, "--json")
    assert done.exit_code == 0, done.output
    found = {alarm["key"]: alarm for alarm in json.loads(done.output)["alarms"]}
    mobile = found["buy / buy it / device_class=mobile"]
    assert 30 <= mobile["minute"] - began <= 50
    assert set(found) == {"buy / buy it / device_class=mobile"}


def test_the_list_is_empty_where_no_agent_ever_ran_and_then_shows_its_rows(warehouse: Path) -> None:
    assert json.loads(alerts("list", "--warehouse", warehouse, "--json").output) == {"alerts": []}
    Table(Lake(warehouse / "lake"), "shop").add([alert_row(1, step="buy it")], now=NOON)
    [listed] = json.loads(alerts("list", "--warehouse", warehouse, "--json").output)["alerts"]
    assert (listed["step"], listed["segment"], listed["resolved"]) == ("buy it", "device_class=mobile", None)
    assert "mini / buy it" in alerts("list", "--warehouse", warehouse).output


def test_marks_and_mutes_are_noted_for_the_agent(tmp_path: Path) -> None:
    ladder = tmp_path / "ladder.toml"
    ladder.write_text(LADDER_TEXT, encoding="utf-8")
    where = ["--warehouse", tmp_path, "--json"]
    assert alerts("mark", "deploy 4.2", "--at", "2026-03-01T12:00:00", *where).exit_code == 0
    muted = alerts("mute", "buy it", "--for", "2h", "--segment", "device_class=mobile", "--ladder", ladder, *where)
    assert muted.exit_code == 0, muted.output
    mark, mute = Notes(tmp_path / "alerts" / "marks").read()
    assert mark == {"at": "2026-03-01T12:00:00+00:00", "what": "deploy 4.2"}
    assert datetime.fromisoformat(mute["until"]) - datetime.fromisoformat(mute["at"]) == timedelta(hours=2)
    assert (mute["step"], mute["segment"], mute["reason"]) == ("buy it", "device_class=mobile", "muted by hand")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mute", "pay", "--for", "2h"], "the ladder shop has no step 'pay'; it has buy it"),
        (["mute", "buy it", "--for", "soon"], "--for: 'soon' is no duration"),
        (["mute", "buy it", "--for", "2h", "--tier", "x"], "--tier x: the ladder shop has look, buy"),
        (["mute", "buy it", "--for", "2h", "--segment", "mobile"], "--segment mobile: write it as COLUMN=VALUE"),
        (
            ["mute", "buy it", "--for", "2h", "--segment", "foo=bar"],
            "--segment foo=bar: the columns are device_class, ",
        ),
        (["mute", "buy it", "--for", "2h", "--segment", "device_class="], "--segment device_class=: write it as"),
    ],
)
def test_a_mute_that_would_mute_nothing_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    ladder = tmp_path / "ladder.toml"
    ladder.write_text(LADDER_TEXT, encoding="utf-8")
    done = alerts(*words, "--warehouse", tmp_path, "--ladder", ladder)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_a_mute_by_what_alerts_toml_does_not_tell_apart_is_refused(tmp_path: Path) -> None:
    file, ladder = tmp_path / "alerts.toml", tmp_path / "ladder.toml"
    file.write_text('segments = ["utm_source"]\n', encoding="utf-8")
    ladder.write_text(LADDER_TEXT, encoding="utf-8")
    where = ["--warehouse", tmp_path, "--ladder", ladder, "--alerts", file, "--for", "2h"]
    done = alerts("mute", "buy it", "--segment", "device_class=mobile", *where)
    assert isinstance(done.exception, UsageError)
    assert "--segment device_class=mobile: the columns are utm_source, by `segments` of alerts.toml" in str(
        done.exception
    )
    assert alerts("mute", "buy it", "--segment", "utm_source=ads", *where).exit_code == 0


def test_each_sink_is_sent_a_test_and_one_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "alerts.toml"
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        monkeypatch.setenv("TOKEN", "Bearer x")
        file.write_text(
            '[[sink]]\ntype = "webhook"\nurl_env = "HOOK"\nheader_env = { Authorization = "TOKEN" }\n'
            f'[[sink]]\ntype = "slack"\nurl = "{hook.url}"\n',
            encoding="utf-8",
        )
        hook.answers += [(200, {}), (404, {})]
        done = alerts("test", "--alerts", file, "--json")
    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "ok": False,
        "sinks": [{"sink": "webhook", "ok": True, "said": "200 ok"}, {"sink": "slack", "ok": False, "said": "404 ok"}],
    }
    assert hook.posts[0].headers["authorization"] == "Bearer x"
    assert hook.posts[0].body["step"] == "this is a test, nothing has happened"


def test_a_test_ends_by_itself_in_alertmanager(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    began = datetime.now(UTC)
    with webhook() as hook:
        file.write_text(f'[[sink]]\ntype = "alertmanager"\nurl = "{hook.url}"\n', encoding="utf-8")
        hook.answers += [(200, {})]
        assert alerts("test", "--alerts", file).exit_code == 0
    ends = datetime.fromisoformat(hook.posts[0].body[0]["endsAt"])
    assert began + timedelta(minutes=3) < ends < datetime.now(UTC) + timedelta(minutes=6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[sink]]\ntype = "slack"\nurl_env = "NOT_SET"\n', "the sink slack, url_env, names the variable NOT_SET"),
        ("", "there are no sinks"),
        (
            '[[sink]]\ntype = "slack"\nurl = "https://a"\nheader_env = { Authorization = "TOKEN" }\n',
            "the sink slack, header_env, TOKEN: the value of Authorization has more than plain characters",
        ),
    ],
)
def test_a_sink_whose_secret_is_not_set_or_no_header_is_told_before_anything_runs(
    tmp_path: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "Bearer s3\ncret")
    file = tmp_path / "alerts.toml"
    file.write_text(text, encoding="utf-8")
    done = alerts("test", "--alerts", file)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
