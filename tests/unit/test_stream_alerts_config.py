from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ladder.errors import UsageError
from stream.alerts_config import AlertsConfig, Mark, Mute, Sink, Weekly, load_alerts_config, parse_alerts_config

WHOLE = """
budget = "at most 2 false alarms a week"
segments = ["device_class", "utm_source"]
grace = "30s"
smallest_fall = 0.1
fewest_lost = 5
least_volume = 20
dashboard = "https://yes.example/"

[[sink]]
type = "slack"
url_env = "SLACK_WEBHOOK"

[[sink]]
name = "ops"
type = "alertmanager"
url = "http://alertmanager:9093"
header_env = { Authorization = "ALERTMANAGER_TOKEN" }

[[mute]]
step = "add to cart"
segment = "device_class=mobile"
until = 2026-03-02T12:00:00+01:00
reason = "known"

[[maintenance]]
every = "sun 23:00-01:00"

[[maintenance]]
from = 2026-03-01T00:00:00Z
to = 2026-03-01T02:00:00Z

[[mark]]
at = 2026-03-01T12:00:00Z
what = "deploy 4.2"
"""


def test_everything_that_can_stand_in_the_file_is_read() -> None:
    assert parse_alerts_config(WHOLE, "alerts.toml") == AlertsConfig(
        patience=7 * 1440 / 2,
        segments=("device_class", "utm_source"),
        grace=timedelta(seconds=30),
        smallest_fall=0.1,
        fewest_lost=5,
        least_volume=20,
        dashboard="https://yes.example",
        sinks=(
            Sink("slack", "slack", url_env="SLACK_WEBHOOK"),
            Sink("ops", "alertmanager", "http://alertmanager:9093", header_env={"Authorization": "ALERTMANAGER_TOKEN"}),
        ),
        mutes=(
            Mute("add to cart", None, "device_class=mobile", None, datetime(2026, 3, 2, 11, tzinfo=UTC), "known"),
            Mute(
                since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 3, 1, 2, tzinfo=UTC), reason="maintenance"
            ),
        ),
        maintenance=(Weekly(6, datetime(2026, 1, 1, 23).time(), datetime(2026, 1, 1, 1).time()),),
        marks=(Mark(datetime(2026, 3, 1, 12, tzinfo=UTC), "deploy 4.2"),),
    )


def test_an_empty_file_is_two_false_alarms_a_month_and_nobody_told_apart() -> None:
    config = parse_alerts_config("", "alerts.toml")
    assert config == AlertsConfig()
    assert (config.rules.patience, config.rules.together) == (21_600.0, True)


@pytest.mark.parametrize(
    ("budget", "patience"),
    [
        ("at most one false alarm a day", 1440),
        ("At most  10 false alarms per year", 52_560),
        ("at most 0.5 false alarms a month", 86_400),
        ("at most three false alarms every week", 3360),
    ],
)
def test_a_budget_is_said_in_plain_words(budget: str, patience: float) -> None:
    assert parse_alerts_config(f'budget = "{budget}"', "x").patience == pytest.approx(patience)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('budget = "few"', "x, line 1, budget: 'few' is not understood; write it like: at most 2 false alarms a month"),
        ('budget = "at most 0 false alarms a day"', "x, line 1, budget: no alarms are never false"),
        ('\nsegments = ["colour"]', "x, line 2, segments[0]: Invalid enum value 'colour'"),
        ('segments = ["referrer", "referrer"]', "x, line 1, segments: referrer stands there twice"),
        ('grace = "soon"', "x, line 1, grace: 'soon' is no duration"),
        ('grace = "2h"', "x, line 1, grace: is at most 30m"),
        ("smallest_fall = 1.5", "x, line 1, smallest_fall: Expected `float` < 1"),
        ("colour = 1", "x, line 1, colour: there is no such key"),
        ('dashboard = "yes"', "x, line 1, dashboard: 'yes' is no address"),
        ('[[sink]]\ntype = "slack"', "x, line 1, sink[0]: needs `url`, or `url_env`"),
        ('[[sink]]\ntype = "pager"', "x, line 2, sink[0].type: Invalid enum value 'pager'"),
        ('[[sink]]\ntype = "slack"\nurl = "hook"', "x, line 3, sink[0].url: 'hook' is no address"),
        (
            '[[sink]]\ntype = "slack"\nurl = "https://a"\nheaders = { x-team = "K\u00fcrbis" }',
            "x, line 4, sink[0].headers: the value of x-team has more than plain characters",
        ),
        (
            '[[sink]]\ntype = "slack"\nurl = "https://a"\nheader_env = { "x team" = "T" }',
            "x, line 4, sink[0].header_env: 'x team' is no name of a header",
        ),
        (
            '[[sink]]\ntype = "slack"\nurl = "https://a"\n[[sink]]\ntype = "slack"\nurl = "https://b"',
            "x, line 4, sink[1]: there are two sinks called slack",
        ),
        ('[[mute]]\nreason = "all"', "x, line 1, mute[0]: needs `step`, `tier` or `segment`"),
        ('[[mute]]\nsegment = "mobile"', "x, line 2, mute[0].segment: write it as COLUMN=VALUE"),
        ('[[maintenance]]\nevery = "now"', "x, line 2, maintenance[0].every: 'now' is not understood"),
        ('[[maintenance]]\nevery = "sun 25:00-26:00"', "x, line 2, maintenance[0].every: 'sun 25:00-26:00' is not"),
        ("[[maintenance]]\nto = 2026-03-01T02:00:00Z", "x, line 1, maintenance[0]: needs `from` and `to`"),
        (
            "[[maintenance]]\nfrom = 2026-03-01T02:00:00Z\nto = 2026-03-01T02:00:00Z",
            "x, line 3, maintenance[0].to: is not after `from`",
        ),
        ('[[mark]]\nwhat = "deploy"\nat = 2026-03-01T02:00:00', "x, line 3, mark[0].at: 2026-03-01T02:00:00 could be"),
        ('[[mark]]\nwhat = "deploy"', "x, line 1, mark[0].at: is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_alerts_config(text, "x")
    assert str(caught.value).startswith(message)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_a_weekly_window_may_reach_into_the_next_day() -> None:
    """2026-03-01 is a Sunday."""
    [window] = parse_alerts_config('[[maintenance]]\nevery = "sun 23:00-01:00"', "x").maintenance
    inside = {when for when in [at(1, 22, 59), at(1, 23), at(2, 0, 59), at(2, 1), at(2, 23)] if window.covers(when)}
    assert inside == {at(1, 23), at(2, 0, 59)}


def test_a_mute_holds_for_what_it_names_until_its_end() -> None:
    mute = Mute("add to cart", None, "device_class=mobile", at(1, 12), at(1, 13))
    mobile, desktop = {"device_class": "mobile"}, {"device_class": "desktop"}
    assert mute.covers("mini", "add to cart", mobile, at(1, 12))
    assert not mute.covers("mini", "add to cart", mobile, at(1, 13))
    assert not mute.covers("mini", "add to cart", mobile, at(1, 11, 59))
    assert not mute.covers("mini", "add to cart", desktop, at(1, 12))
    assert not mute.covers("mini", "pay", mobile, at(1, 12))
    assert not mute.covers("mini", "add to cart", {}, at(1, 12))


EXAMPLE = Path(__file__).parents[2] / "alerts.example.toml"


def test_the_example_is_the_defaults_with_devices_told_apart() -> None:
    assert load_alerts_config(EXAMPLE) == replace(AlertsConfig(), segments=("device_class",))


def test_what_the_example_has_behind_comments_can_be_taken_as_it_stands() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("# dashboard"))
    bare = [re.sub(r"^# ?(?=(\[\[|\w+ = |$))", "", line) for line in lines[begin:]]
    config = parse_alerts_config("\n".join([*lines[:begin], *bare]), "the example")
    assert [sink.type for sink in config.sinks] == ["slack", "alertmanager", "webhook"]
    assert (len(config.mutes), len(config.maintenance), len(config.marks)) == (1, 1, 1)
    assert config.dashboard is not None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.toml: there is no such file of alerts"):
        load_alerts_config(tmp_path / "absent.toml")
