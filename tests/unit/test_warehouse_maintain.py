from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ladder.clock import going_on_from
from tests.suites.seeded_lake import land, seeded_events
from warehouse.lake import Lake
from warehouse.maintain import maintain

NOW = datetime(2036, 3, 1, tzinfo=UTC)
"""Far from the time these tests run at: what they write is old already."""
HOUR = timedelta(hours=1)


def test_files_are_kept_from_their_removal_on_however_long_the_pass_takes(tmp_path: Path) -> None:
    """One in which each look at the clock comes two hours after the last one."""
    lake = Lake(tmp_path / "lake")
    events = seeded_events(3, 20)
    for begin in range(0, 60, 20):
        land(lake, events[begin : begin + 20], now=NOW)
    removed = {"events": set(lake.files("events")), "sessions": set(lake.files("sessions"))}
    looks = [NOW + 2 * n * HOUR for n in range(4)]
    times = iter(looks)
    done = maintain(lake, keep=2 * HOUR + HOUR, now=NOW, clock=lambda: next(times))
    assert {Path(path).stat().st_mtime for path in removed["sessions"]} == {looks[1].timestamp()}
    assert (done.vacuumed.files, done.vacuumed.kept) == (3, 3), "the events went four hours ago, the sessions two"
    assert not any(Path(path).exists() for path in removed["events"])


def test_a_clock_goes_on_from_the_time_it_is_given() -> None:
    clock = going_on_from(NOW)
    first, second = clock(), clock()
    assert NOW <= first <= second < NOW + HOUR
    assert going_on_from(NOW)().tzinfo is UTC
