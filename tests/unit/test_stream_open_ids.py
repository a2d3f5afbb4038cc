from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from stream import open_ids
from stream.open_ids import OpenIds

GAP = 100


def _held(ids: list[str], at: list[int]) -> pl.DataFrame:
    times = pl.Series("occurred_at", at, pl.Int64).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame([pl.Series("event_id", ids, pl.String), times])


def _taken(
    known: OpenIds, ids: list[str], at: list[int], watermarks: list[int], held: pl.DataFrame | None = None
) -> list[bool]:
    frames = [] if held is None else [held]
    found: list[bool] = known.take(
        pl.Series(ids, dtype=pl.String), np.array(at, np.int64), np.array(watermarks, np.int64), lambda: frames
    ).tolist()
    return found


def test_an_id_is_remembered_until_the_watermark_has_passed_its_event_by_more_than_the_gap() -> None:
    known = OpenIds(GAP)
    assert _taken(known, ["a", "b"], [10, 20], [0, 0]) == [False, False]
    held = _held(["a", "b"], [10, 20])
    assert _taken(known, ["a", "a", "b"], [110, 111, 130], [110, 111, 120], held) == [True, False, True]


def test_of_two_open_events_with_one_id_the_later_one_counts() -> None:
    held = _held(["a", "a"], [150, 10])
    assert _taken(OpenIds(GAP, held), ["a"], [250], [250], held) == [True]
    assert _taken(OpenIds(GAP, held), ["a"], [251], [251], held) == [False]


def test_events_whose_hashes_are_the_same_are_told_apart_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_ids, "_hashes", lambda ids: np.zeros(len(ids), np.uint64))
    known = OpenIds(GAP)
    assert _taken(known, ["a", "b", "a"], [10, 10, 10], [0, 0, 0]) == [False, False, True]
    assert _taken(known, ["b", "c"], [10, 10], [0, 0], _held(["a", "b"], [10, 10])) == [True, False]
