from __future__ import annotations

import json
from pathlib import Path

import pytest

from ladder.errors import UsageError
from yesladder import datasets

ROOT = Path(__file__).parents[2]


def test_the_data_sets_are_those_in_their_folder() -> None:
    assert datasets.names() == sorted(folder.name for folder in (ROOT / "datasets").iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", ["moodle_edify", "otto_mini", "snowplow_web"])
def test_each_is_sound_messages_in_order_of_time_with_its_ladder_and_its_owner(name: str) -> None:
    data = datasets.load(name)
    assert (data.name, data.ladder.name) == (name, name)
    assert "©" in data.attribution or "Copyright" in data.attribution or "CC BY" in data.attribution
    messages = [json.loads(message) for message in data.messages()]
    expected = json.loads((ROOT / "datasets" / name / "expected.json").read_text(encoding="utf-8"))
    assert len(messages) == expected["events"]
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert {message["type"] for message in messages} == {"track"}
    named = {rule.event for rule in data.ladder.rules}
    assert named <= {message["event"] for message in messages}


def test_as_many_messages_come_as_are_asked_for() -> None:
    data = datasets.load("otto_mini")
    assert len(list(data.messages(5))) == 5
    assert list(data.messages(5)) == list(data.messages())[:5]
    assert len(list(data.messages(100_000))) == 862


@pytest.mark.parametrize("name", ["moon", "", "..", "../datasets/otto_mini/..", "otto_mini/segment.ndjson.gz"])
def test_an_unknown_one_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="known are moodle_edify, otto_mini, snowplow_web and simulated"):
        datasets.load(name)


def test_a_ladder_that_comes_along_is_the_file_in_ladders() -> None:
    text = (ROOT / "ladders" / "otto_mini.toml").read_text(encoding="utf-8")
    assert datasets.ladder_text("otto_mini") == text
