from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from ladder.errors import EventError
from ladder.rejects import Reject, Stage
from stream.decoding import PlacedReject
from stream.rejects import RejectBrake, TooManyRejects

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def accepted(*places: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame(list(places), schema={"partition": pl.Int32, "record_offset": pl.Int64}, orient="row")


def refused(*places: tuple[int, int], stage: Stage = "stream") -> list[PlacedReject]:
    reject = Reject.of(EventError("missing_field", "name", "is required"), b"{}", NOON, stage)
    return [PlacedReject(reject, partition, offset) for partition, offset in places]


def offsets(partition: int, *numbers: int) -> list[tuple[int, int]]:
    return [(partition, number) for number in numbers]


def test_exactly_the_share_goes_on_and_one_more_stops() -> None:
    RejectBrake(share=0.5, window=4).press(accepted((0, 0), (0, 1)), refused((0, 2), (0, 3)))
    with pytest.raises(TooManyRejects, match="3 of 5 events were refused"):
        RejectBrake(share=0.5, window=4).press(accepted((0, 0), (0, 1)), refused((0, 2), (0, 3), (0, 4)))


def test_the_message_names_the_latest_reason_its_place_and_what_to_do() -> None:
    with pytest.raises(TooManyRejects) as stopped:
        RejectBrake(share=0, window=1).press(accepted(), refused((0, 2), (3, 41)))
    assert str(stopped.value) == (
        "2 of 2 events were refused (latest: missing_field, name, partition 3, offset 41); stopped before committing "
        "them. Mend the producer, or allow more with --max-reject-share and --max-reject-run"
    )


def test_fewer_events_than_the_window_are_not_judged_until_more_have_come() -> None:
    brake = RejectBrake(share=0.5, window=4)
    brake.press(accepted(), refused((0, 0), (0, 1), (0, 2)))
    with pytest.raises(TooManyRejects, match=r"3 of 4 events were refused \(latest: missing_field"):
        brake.press(accepted((0, 3)), [])


def test_each_window_is_judged_for_itself() -> None:
    brake = RejectBrake(share=0.5, window=2)
    brake.press(accepted(*offsets(0, *range(100))), [])
    with pytest.raises(TooManyRejects, match="2 of 2"):
        brake.press(accepted(), refused((0, 100), (0, 101)))


def test_dead_letters_that_the_collector_sent_do_not_count() -> None:
    brake = RejectBrake(share=0, window=1, run=0)
    brake.press(accepted(), refused((0, 0), (0, 1), stage="collector"))
    brake.press(accepted((0, 2)), [])


def test_a_run_goes_on_from_batch_to_batch() -> None:
    brake = RejectBrake(share=1, run=4)
    brake.press(accepted((0, 0)), refused((0, 1), (0, 2)))
    brake.press(accepted(), refused((0, 3), (0, 4)))
    with pytest.raises(TooManyRejects, match="5 events in a row were refused"):
        brake.press(accepted(), refused((0, 5)))


def test_an_accepted_event_ends_the_run_wherever_the_batches_are_cut() -> None:
    brake = RejectBrake(share=1, run=3)
    brake.press(accepted((0, 2)), refused((0, 0), (0, 1), (0, 3), (0, 4)))
    brake.press(accepted((0, 6)), refused((0, 5), (0, 7)))
    brake.press(accepted((0, 8)), [])
    brake.press(accepted(), refused((0, 9), (0, 10), (0, 11)))


def test_a_run_inside_a_batch_counts_though_good_events_follow() -> None:
    with pytest.raises(TooManyRejects, match="4 events in a row"):
        RejectBrake(share=1, run=3).press(accepted((0, 0), (0, 5), (0, 6)), refused(*offsets(0, 1, 2, 3, 4)))


def test_runs_of_different_partitions_do_not_add_up() -> None:
    brake = RejectBrake(share=1, run=3)
    brake.press(accepted(), refused(*offsets(0, 0, 1, 2), *offsets(1, 0, 1, 2)))
    brake.press(accepted((0, 3)), [])
    with pytest.raises(TooManyRejects, match="4 events in a row"):
        brake.press(accepted((0, 4)), refused((1, 3)))


def test_no_input_presses_nothing() -> None:
    RejectBrake(share=0, window=0, run=0).press(accepted(), [])
