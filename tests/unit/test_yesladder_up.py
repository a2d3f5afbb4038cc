from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warehouse.lake import Lake
from warehouse.maintain import maintain
from yesladder.settings import read_settings
from yesladder.up import until_upkeep

HOUR = timedelta(hours=1)


def test_an_upkeep_is_due_a_day_after_the_last_one_or_after_the_lake_was_made(tmp_path: Path) -> None:
    settings = read_settings(warehouse=tmp_path)
    now = datetime.now(UTC)
    assert until_upkeep(settings, now) == 24 * 3600
    lake = Lake(tmp_path / "lake")
    with lake.writing():
        pass
    assert 0 < until_upkeep(settings, now + 23 * HOUR) < 3700
    assert until_upkeep(settings, now + 25 * HOUR) == 0
    maintain(lake, keep=HOUR, now=now + 25 * HOUR)
    assert until_upkeep(settings, now + 26 * HOUR) == 23 * 3600


def test_without_upkeep_none_is_ever_due(tmp_path: Path) -> None:
    assert until_upkeep(read_settings(warehouse=tmp_path, upkeep_every="0s"), datetime.now(UTC)) == math.inf
