from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ladder.errors import UsageError
from ladder.events import Event, decode
from ladder.tiers import Ladder, builtin_ladder, load_ladder, parse_ladder
from producers.files import read_batches
from producers.partitioner import partition_of
from producers.publisher import MemoryPublisher
from producers.script import script_of
from producers.simulate import publish_simulated, simulate, write_simulated
from producers.simulation import Segment, Simulation, Spike
from producers.truth import counted
from producers.walks import Events

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LADDERS = sorted((Path(__file__).parents[2] / "ladders").glob("*.toml"))
PLAIN = Simulation(visitors=20_000, seed=7, momentum=1.0, leap_penalty=1.0, segments=(Segment("all"),))


def decisions(simulation: Simulation, by: str, ladder: Ladder | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = simulate(simulation, ladder or builtin_ladder()).truth["decisions"][by]
    return found


def rates(rows: list[dict[str, Any]]) -> list[float]:
    return [row["yes"] / row["asked"] for row in rows]


@pytest.mark.parametrize("path", LADDERS, ids=lambda path: path.stem)
def test_every_ladder_that_comes_along_can_be_climbed_to_its_top(path: Path) -> None:
    ladder = load_ladder(path)
    truth = simulate(Simulation(visitors=3000), ladder).truth
    climbable = [row["yes"] for row in truth["decisions"]["by_tier"] if row["asked"]]
    assert len(climbable) == len(script_of(ladder).rungs)
    assert min(climbable) > 10


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    def written(seed: int, name: str) -> tuple[bytes, bytes]:
        path = tmp_path / name
        truth = write_simulated(simulate(Simulation(visitors=50, seed=seed), builtin_ladder()), path)
        return path.read_bytes(), truth.read_bytes()

    first = written(1, "a.ndjson.gz")
    assert first == written(1, "b.ndjson.gz")
    assert first != written(2, "c.ndjson.gz")


def test_the_rates_are_those_asked_for() -> None:
    wanted = (0.8, 0.6, 0.5, 0.3, 0.1)
    by_tier = decisions(replace(PLAIN, yes_rates=wanted), "by_tier")
    assert rates(by_tier) == pytest.approx(wanted, abs=0.02)
    assert [row["expected_yes"] / row["asked"] for row in by_tier] == pytest.approx(wanted)


def test_momentum_raises_the_odds_with_each_yes_before_up_to_three() -> None:
    flat = replace(PLAIN, yes_rates=[0.5] * 5, momentum=2.0, skip_share=0.0, push_share=1.0)
    by_yeses = decisions(flat, "by_earlier_yeses")
    assert rates(by_yeses) == pytest.approx([1 / 2, 2 / 3, 4 / 5, 8 / 9], abs=0.02)


def test_a_leap_lowers_the_odds_with_each_tier_leapt_over() -> None:
    flat = replace(PLAIN, yes_rates=[0.5] * 5, leap_penalty=0.5, skip_share=0.3, push_share=0.9)
    by_leap = decisions(flat, "by_leap")
    assert rates(by_leap[:4]) == pytest.approx([1 / 2, 1 / 3, 1 / 5, 1 / 9], abs=0.03)


def test_blunt_visits_begin_with_an_ask_of_their_tier_and_change_no_others() -> None:
    blunt = replace(PLAIN, visits_per_visitor=1, skip_share=0, push_share=0, blunt_share=0.25, blunt_tier=4)
    truth = simulate(blunt, builtin_ladder()).truth
    asked = [row["asked"] for row in truth["decisions"]["by_leap"]]
    assert asked[3] / truth["visitors"] == pytest.approx(0.25, abs=0.01)
    assert asked[1:3] == [0, 0]
    with pytest.raises(UsageError, match="blunt_tier is 6; the ladder has no ask of its own there"):
        simulate(replace(blunt, blunt_tier=6), builtin_ladder())


def test_segments_come_in_their_shares_and_answer_by_their_odds() -> None:
    two = (Segment("few", 1.0, 3.0, "mobile", "ads"), Segment("many", 3.0, 1.0))
    by_segment = decisions(replace(PLAIN, yes_rates=[0.5] * 5, segments=two, skip_share=0.0), "by_segment")
    first_tier = [row for row in by_segment if row["tier"] == 1]
    assert [row["segment"] for row in first_tier] == ["few", "many"]
    assert rates(first_tier) == pytest.approx([0.75, 0.5], abs=0.02)
    assert first_tier[0]["asked"] / first_tier[1]["asked"] == pytest.approx(1 / 3, abs=0.02)


def test_a_spike_hits_its_step_and_its_segment_in_its_time_and_nothing_else() -> None:
    two = (Segment("hit", 1.0, utm_source="ads"), Segment("spared", 1.0, utm_source="mail"))
    calm = replace(PLAIN, segments=two, skip_share=0.0, push_share=1.0, late=0.0)
    spike = Spike(START + timedelta(days=7), timedelta(days=1), factor=0.1, step="mini", segment="hit")

    troubled = replace(calm, spikes=(spike,))
    counts: Counter[tuple[str | None, str, int]] = Counter()
    for item in simulate(troubled, builtin_ladder()).items():
        if isinstance(item, Event):
            counts[item.utm_source, item.name, (item.occurred_at - START).days] += 1

    def rate(source: str, tier: str, day: int) -> float:
        return counts[source, f"{tier} yes", day] / counts[source, f"{tier} ask", day]

    usual = 0.45
    assert rate("ads", "mini", 7) == pytest.approx(usual * 0.1, abs=0.03)
    assert rate("ads", "mini", 6) == pytest.approx(usual, abs=0.05)
    assert rate("ads", "mini", 8) == pytest.approx(usual, abs=0.05)
    assert rate("mail", "mini", 7) == pytest.approx(usual, abs=0.05)
    assert rate("ads", "micro", 7) == pytest.approx(0.575, abs=0.05)


def test_late_events_are_late_in_each_of_several_partitions_of_a_dense_stream() -> None:
    ladder = builtin_ladder()
    simulated = simulate(Simulation(visitors=5000, late=0.01, out_of_order=0.05), ladder)
    for partitions in (1, 4, 8):
        newest = [START] * partitions
        late: set[str] = set()
        for item in simulated.items():
            if isinstance(item, Event):
                partition = partition_of(item.visitor_id, partitions)
                if newest[partition] - item.occurred_at > ladder.lateness:
                    late.add(item.event_id)
                newest[partition] = max(newest[partition], item.occurred_at)
        assert len(late) == simulated.truth["late"]


def test_shares_of_disorder_are_those_asked_for() -> None:
    wanted = Simulation(visitors=5000, out_of_order=0.1, late=0.05, duplicates=0.2, malformed=0.03)
    truth = simulate(wanted, builtin_ladder()).truth
    drawn = truth["events"] + truth["late"]
    assert truth["out_of_order"] / drawn == pytest.approx(0.1, abs=0.01)
    assert truth["late"] / drawn == pytest.approx(0.05, abs=0.01)
    assert truth["duplicates"] / drawn == pytest.approx(0.2 * 0.85, abs=0.01)
    assert sum(truth["malformed"].values()) / drawn == pytest.approx(0.03, abs=0.001)


def test_visits_of_a_visitor_are_sessions_of_their_own() -> None:
    often = replace(PLAIN, visitors=2000, visits_per_visitor=2.0, return_after=timedelta(minutes=1))
    truth = simulate(replace(often, regret_share=0.0, late=0.0), builtin_ladder()).truth
    assert truth["visitors"] == 2000
    assert truth["sessions"] == pytest.approx(4000, rel=0.05)


def test_nobody_does_nothing() -> None:
    simulated = simulate(Simulation(visitors=0), builtin_ladder())
    assert list(simulated.items()) == []
    assert (simulated.truth["events"], simulated.truth["sessions"]) == (0, 0)


def test_a_written_file_is_read_back_with_its_broken_lines(tmp_path: Path) -> None:
    simulated = simulate(Simulation(visitors=300, malformed=0.05), builtin_ladder())
    path = tmp_path / "events.ndjson.gz"
    truth_path = write_simulated(simulated, path)
    assert truth_path == tmp_path / "events.ndjson.gz.truth.json"
    assert json.loads(truth_path.read_text()) == simulated.truth
    batches = list(read_batches([path], None, NOW))
    read = [event.event_id for batch in batches for event in batch.events]
    assert read == [item.event_id for item in simulated.items() if isinstance(item, Event)]
    refused = [reject.reason for batch in batches for reject in batch.rejects]
    assert {reason: refused.count(reason) for reason in refused} == simulated.truth["malformed"]


def test_a_file_of_our_own_contract_keeps_when_each_event_arrived(tmp_path: Path) -> None:
    simulated = simulate(Simulation(visitors=100), builtin_ladder())
    path = tmp_path / "events.ndjson"
    write_simulated(simulated, path, as_contract=True)
    read = [event for batch in read_batches([path], None, NOW) for event in batch.events]
    assert read == [item for item in simulated.items() if isinstance(item, Event)]


def test_published_items_are_all_on_kafka_the_broken_ones_unmarked() -> None:
    simulated = simulate(Simulation(visitors=2000, malformed=0.01), builtin_ladder())
    publisher = MemoryPublisher(partitions=3)
    told: list[int] = []
    publish_simulated(simulated, publisher, progress=told.append)
    events, broken = [], []
    for partition, taken in enumerate(publisher.records):
        for record in taken:
            if not record.headers:
                broken.append(record.value)
                continue
            events += [(partition, decode(line, NOW)) for line in record.value.split(b"\n")]
    items = list(simulated.items())
    assert sorted(broken) == sorted(item for item in items if isinstance(item, bytes))
    for partition in range(3):
        assert [event for place, event in events if place == partition] == [
            item for item in items if isinstance(item, Event) and partition_of(item.visitor_id, 3) == partition
        ]
    assert sum(told) == len(items)


def test_gzip_holds_no_time_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    write_simulated(simulate(Simulation(visitors=3), builtin_ladder()), path)
    assert path.read_bytes()[4:8] == b"\x00\x00\x00\x00"
    assert gzip.decompress(path.read_bytes()).endswith(b"}\n")


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ('[[on]]\nevent = "A"\nis = [{ tier = "a", role = "ask" }]', "has no event to begin with"),
        (
            '[[on]]\nevent = "A"\nis = [{ tier = "a", role = "yes" }, { tier = "a", role = "ask" }]',
            "has no event to begin with",
        ),
    ],
)
def test_a_ladder_nobody_can_climb_is_refused(rules: str, complaint: str) -> None:
    ladder = parse_ladder(f'name = "x"\ntiers = ["a", "b"]\n{rules}\n', "x")
    with pytest.raises(UsageError, match=complaint):
        simulate(Simulation(visitors=1), ladder)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"late": 1.5}, "late is 1.5; it has to be between 0 and 1"),
        ({"late": 0.6, "out_of_order": 0.6}, "cannot be more than 1 together"),
        ({"yes_rates": [0.5, -0.1]}, "yes_rates is -0.1"),
        ({"visitors": -1}, "at least 0 visitors"),
        ({"momentum": 0}, "are above 0"),
        ({"duration": timedelta(0)}, "duration must be longer than 0"),
        ({"blunt_share": 0.1}, "blunt_share needs the blunt_tier"),
        ({"segments": ()}, "at least one segment"),
        ({"segments": (Segment("a"), Segment("a"))}, "each with its own name"),
        ({"spikes": (Spike(START, timedelta(1), segment="nobody"),)}, "names the segment 'nobody'"),
        ({"spikes": (Spike(START, timedelta(1), factor=2.0),)}, "the factor of a spike is 2.0"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Simulation(**values)


def test_rates_are_one_per_tier() -> None:
    with pytest.raises(UsageError, match="yes_rates has 2 numbers, the ladder 5 tiers"):
        simulate(Simulation(visitors=1, yes_rates=[0.5, 0.5]), builtin_ladder())


def test_no_two_items_arrive_in_the_same_microsecond_however_many_happen_at_once() -> None:
    crowd = Simulation(visitors=5000, duration=timedelta(milliseconds=20))
    arrivals = [item.received_at for item in simulate(crowd, builtin_ladder()).items() if isinstance(item, Event)]
    assert len(set(arrivals)) == len(arrivals) > 20_000


def test_a_silence_of_exactly_the_gap_is_within_the_session_and_a_longer_one_is_not() -> None:
    ladder = builtin_ladder()
    script = script_of(ladder)
    gap = 30 * 60 * 1_000_000
    same = np.zeros(3, dtype=np.int64)
    for silence, sessions in ((gap, 1), (gap + 1, 2)):
        events = Events(visitor=same, segment=same, template=same, at=np.array([60_000_000 + silence, 0, 60_000_000]))
        counts = counted(Simulation(), ladder, script, events)
        assert (counts["sessions"], counts["visitors"]) == (sessions, 1)
