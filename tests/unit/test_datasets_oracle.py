"""The numbers shipped with each data set, computed again from its raw file with pandas; nothing of the product."""

from __future__ import annotations

import gzip
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("moodle_edify", "otto_mini", "snowplow_web")
GAP_MS = 1_800_000


@dataclass(frozen=True)
class Data:
    events: pd.DataFrame
    expected: dict[str, Any]
    tiers: dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> Data:
    return read(request.param)


def read(name: str) -> Data:
    folder = ROOT / "datasets" / name
    with gzip.open(folder / "segment.ndjson.gz") as lines:
        raw = [json.loads(line) for line in lines]
    events = pd.DataFrame(
        {
            "id": [message["messageId"] for message in raw],
            "actor": [message["userId"] for message in raw],
            "ms": pd.to_datetime([message["timestamp"] for message in raw], utc=True).as_unit("ms").astype("int64"),
            "name": [message["event"] for message in raw],
            "tracker": [message["properties"].get("source_session_id") for message in raw],
        }
    ).sort_values(["actor", "ms"], kind="stable")
    events["pause"] = events.groupby("actor")["ms"].diff()
    events["session"] = (events["pause"].isna() | (events["pause"] > GAP_MS)).cumsum()
    return Data(
        events,
        json.loads((folder / "expected.json").read_text()),
        tiers_of(tomllib.loads((ROOT / "ladders" / f"{name}.toml").read_text())),
    )


def test_events_actors_and_times(data: Data) -> None:
    events, expected = data.events, data.expected
    assert (len(events), events["id"].nunique()) == (expected["events"], expected["events"])
    assert events["actor"].nunique() == expected["actors"]
    assert (events["ms"].min(), events["ms"].max()) == (expected["first_ts_ms"], expected["last_ts_ms"])
    assert events["name"].value_counts().to_dict() == expected["events_by_name"]


def test_sessions_and_the_gaps_of_exactly_half_an_hour(data: Data) -> None:
    events, expected = data.events, data.expected
    exactly = int((events["pause"] == GAP_MS).sum())
    assert events["session"].nunique() == expected["sessions"]
    assert exactly == expected["gaps_exactly_1800s"]
    assert events["session"].nunique() + exactly == expected["sessions_if_gap_ge_1800"]
    sizes = events.groupby("session").size()
    figures = expected["events_per_session"]
    assert (round(sizes.mean(), 6), sizes.median(), sizes.max()) == (
        figures["mean"],
        figures["median"],
        figures["max"],
    )
    spans = events.groupby("session")["ms"].agg(lambda ms: ms.max() - ms.min())
    assert {"sum": spans.sum(), "max": spans.max()} == expected["session_duration_ms"]
    assert events.groupby("actor")["session"].nunique().max() == expected["sessions_per_actor_max"]


def test_every_session_by_its_digest(data: Data) -> None:
    sessions = data.events.groupby("session").agg(
        actor=("actor", "first"), start=("ms", "min"), end=("ms", "max"), events=("ms", "size")
    )
    lines = sorted(f"{row.actor}|{row.start}|{row.end}|{row.events}" for row in sessions.itertuples())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == data.expected["sessions_digest_sha256"]


@pytest.mark.parametrize(("unit", "said"), [("session", "sessions"), ("actor", "actors")])
def test_answers_per_tier(data: Data, unit: str, said: str) -> None:
    events = data.events
    for tier, roles in data.tiers.items():
        expected = data.expected["tiers"][tier]
        asks, yeses = (events[events["name"].isin(roles[role])] for role in ("ask", "yes"))
        assert (len(asks), len(yeses)) == (expected["ask_events"], expected["yes_events"])
        first_ask = asks.groupby(unit)["ms"].min()
        last_yes = yeses.groupby(unit)["ms"].max()
        answered = int((last_yes.reindex(first_ask.index) >= first_ask).sum())
        assert expected[said] == {
            "with_ask": len(first_ask),
            "with_yes": len(last_yes),
            "ask_then_yes": answered,
            "dropped": len(first_ask) - answered,
        }, tier


@pytest.mark.parametrize(("unit", "said"), [("session", "reach_sessions"), ("actor", "reach_actors")])
def test_how_high_people_get(data: Data, unit: str, said: str) -> None:
    events, expected = data.events, data.expected[said]
    units = events[unit].nunique()
    assert units == expected["units"]
    climbable = [tier for tier, roles in data.tiers.items() if roles["yes"]]
    holders = {tier: set(events[events["name"].isin(data.tiers[tier]["yes"])][unit]) for tier in climbable}
    everyone = set(events[unit])
    reached, highest = everyone, {}
    for tier in climbable:
        reached = reached & holders[tier]
        assert len(reached) == expected["any"][tier], tier
    above: set[Any] = set()
    for tier in reversed(climbable):
        highest[tier] = len(holders[tier] - above)
        above |= holders[tier]
    assert {"none": len(everyone - above), **highest} == expected["highest"]


def test_snowplow_sessions_are_the_trackers_own_one_to_one() -> None:
    events = read("snowplow_web").events
    oracle = json.loads((ROOT / "datasets" / "snowplow_web" / "oracle.json").read_text())
    assert events["session"].nunique() == oracle["gap_sessions"]
    assert events["tracker"].nunique() == oracle["tracker_sessions"]
    assert (events.groupby("session")["tracker"].nunique() > 1).sum() == oracle["gap_sessions_mixing_tracker_ids"] == 0
    assert (events.groupby("tracker")["session"].nunique() > 1).sum() == oracle["tracker_ids_split_by_gap"] == 0


def tiers_of(ladder: dict[str, Any]) -> dict[str, dict[str, set[str]]]:
    """The event names of each tier's asks and yeses, read from the file as it stands."""
    tiers: dict[str, dict[str, set[str]]] = {tier: {"ask": set(), "yes": set()} for tier in ladder["tiers"]}
    for rule in ladder["on"]:
        for mark in rule["is"]:
            tiers[mark["tier"]][mark["role"]].add(rule["event"])
    return tiers
