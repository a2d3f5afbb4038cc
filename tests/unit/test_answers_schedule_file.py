from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from answers.schedule_file import Schedule, as_dict, load_schedules, parse_schedules
from ladder.errors import UsageError

NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)  # a Wednesday


def schedule(every: str, at: str, zone: str = "UTC", **more: str) -> Schedule:
    lines = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    text = f'[it]\nperiod = "{every}"\nat = "{at}"\nzone = "{zone}"\ntargets = ["out/"]\n{lines}'
    return parse_schedules(text, "schedules.toml", NOW)["it"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "at", "zone", "last", "following", "on"),
    [
        ("week", "mon 08:00", "UTC", "2026-03-16T08:00", "2026-03-23T08:00", "2026-03-09/2026-03-16"),
        ("week", "Monday 8:00", "Europe/Vienna", "2026-03-16T07:00", "2026-03-23T07:00", "2026-03-09/2026-03-16"),
        ("week", "wed 12:00", "UTC", "2026-03-18T12:00", "2026-03-25T12:00", "2026-03-09/2026-03-16"),
        ("week", "wed 12:01", "UTC", "2026-03-11T12:01", "2026-03-18T12:01", "2026-03-02/2026-03-09"),
        ("day", "08:00", "America/New_York", "2026-03-18T12:00", "2026-03-19T12:00", "2026-03-17/2026-03-18"),
        ("day", "08:00", "Asia/Tokyo", "2026-03-17T23:00", "2026-03-18T23:00", "2026-03-16/2026-03-17"),
        ("month", "1 09:00", "UTC", "2026-03-01T09:00", "2026-04-01T09:00", "2026-02-01/2026-03-01"),
        ("month", "28 09:00", "UTC", "2026-02-28T09:00", "2026-03-28T09:00", "2026-01-01/2026-02-01"),
    ],
)
def test_a_report_is_due_at_its_hour_on_the_period_that_was_over(
    every: str, at: str, zone: str, last: str, following: str, on: str
) -> None:
    found = schedule(every, at, zone)
    assert (found.last(NOW), found.next(NOW)) == (utc(last), utc(following))
    days = found.period_at(found.last(NOW))
    assert f"{days.since}/{days.until}" == on


def test_hours_follow_the_clocks_of_the_zone() -> None:
    found = schedule("day", "08:00", "Europe/Vienna")
    assert found.next(utc("2026-03-28T12:00")) == utc("2026-03-29T06:00")
    assert found.next(utc("2026-03-27T12:00")) == utc("2026-03-28T07:00")


@pytest.mark.parametrize(
    ("at", "wanted"), [("02:30", ["2026-03-29T01:30", "2026-03-30T00:30"]), ("03:00", ["2026-03-29T01:00"])]
)
def test_an_hour_that_clocks_skip_is_not_missed(at: str, wanted: list[str]) -> None:
    found = schedule("day", at, "Europe/Vienna")
    now = utc("2026-03-28T12:00")
    for moment in wanted:
        now = found.next(now)
        assert now == utc(moment)


def test_an_hour_that_comes_twice_counts_once() -> None:
    found = schedule("day", "02:30", "Europe/Vienna")
    assert found.next(utc("2026-10-24T12:00")) == utc("2026-10-25T00:30")
    assert found.next(utc("2026-10-25T00:30")) == utc("2026-10-26T01:30")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Tokyo"])
@pytest.mark.parametrize(("every", "at"), [("day", "12:00"), ("week", "tue 12:00"), ("month", "2 12:00")])
def test_no_period_is_left_out_or_comes_twice(every: str, at: str, zone: str) -> None:
    found = schedule(every, at, zone)
    now, before = found.next(NOW), None
    while now < NOW + timedelta(days=400):
        days = found.period_at(now)
        assert before is None or days.since == before.until
        assert now >= days.ends
        now, before = found.next(now), days


def test_what_is_said_of_it_is_kept() -> None:
    found = schedule("week", "mon 08:00", "Europe/Vienna", format="pdf", unit="visitor", segment="utm_source")
    assert as_dict(found) == {
        "name": "it",
        "period": "week",
        "at": "mon 08:00 Europe/Vienna",
        "format": "pdf",
        "unit": "visitor",
        "segment": "utm_source",
        "targets": ["file out/"],
    }
    assert found.if_unsure == "leave"


WEEKLY = '[it]\nperiod = "week"\nat = "mon 08:00"\ntargets = ["out/"]\n'
MONTHLY = '[it]\nperiod = "month"\nat = "1 08:00"\ntargets = ["out/"]\n'
LONDON = WEEKLY + 'zone = "Europe/London"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[it", "schedules.toml: no TOML: "),
        ('period = "week"', "schedules.toml: period stands outside of a schedule; begin each with [its name]"),
        ('["a/b"]\nx = 1', "schedules.toml: 'a/b': a name has 1 to 60 letters, digits, blanks and hyphens"),
        ('[it]\nperiod = "week"\nat = "mon 8:00"', "schedules.toml: [it] targets: is missing"),
        (WEEKLY + "colour = 1", "schedules.toml: [it] colour: there is no such key"),
        (WEEKLY.replace("week", "year"), "schedules.toml: [it] period: Invalid enum value 'year'; write \"day\", "),
        (WEEKLY.replace("mon 08:00", "08:00"), "schedules.toml: [it] at: '08:00' is no time for every week; write"),
        (WEEKLY.replace("mon 08:00", "mon 25:00"), "schedules.toml: [it] at: 'mon 25:00' is no time for every week"),
        (WEEKLY.replace("mon", "moon"), "schedules.toml: [it] at: 'moon 08:00' is no time for every week"),
        (WEEKLY.replace('"week"', '"day"'), "schedules.toml: [it] at: 'mon 08:00' is no time for every day; write"),
        (MONTHLY.replace("1 08", "31 08"), "schedules.toml: [it] at: '31 08:00' is no time for every month; write"),
        (WEEKLY + 'zone = "Moon"', "schedules.toml: [it] zone: there is no time zone 'Moon'"),
        (WEEKLY + 'zone = "../etc/passwd"', "schedules.toml: [it] zone: there is no time zone '../etc/passwd'"),
        (WEEKLY + 'segment = "x"', "schedules.toml: [it] segment: there is no 'x'; take page_url"),
        (WEEKLY.replace("out/", "ftp://x"), "schedules.toml: [it] target 'ftp://x': there are a path"),
        (WEEKLY.replace('["out/"]', '"out/"'), "schedules.toml: [it] targets: Expected `array`, got `str`; write a"),
        (WEEKLY.replace('["out/"]', "[1]"), "schedules.toml: [it] targets[0]: Expected `str`, got `int`; write a"),
        (WEEKLY.replace('["out/"]', "[]"), "schedules.toml: [it] targets: Expected `array` of length >= 1"),
        (LONDON.replace("08:00", "00:30"), "schedules.toml: [it] at: at mon 00:30 Europe/London the week (of UTC)"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_schedules(text, "schedules.toml", NOW)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml: there is no such file of schedules"):
        load_schedules(tmp_path / "no.toml", NOW)
