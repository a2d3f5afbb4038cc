from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from ladder.errors import UsageError
from tests.suites.alert_world import simulate
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
