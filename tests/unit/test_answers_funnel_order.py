from __future__ import annotations

import numpy as np
import pytest

from answers.funnel_order import in_order


@pytest.mark.parametrize("hash_bits", [3, 20, 64])
@pytest.mark.parametrize("span", [2_000, 2**62])
def test_events_are_put_in_the_order_of_unit_time_and_arrival(hash_bits: int, span: int) -> None:
    """Also where hashes are of so few bits that many units share one, and where times are far apart."""
    random = np.random.default_rng(3)
    rows = 50_000
    unit = np.concatenate([random.integers(0, 40, rows // 2), random.integers(0, 20_000, rows - rows // 2)])
    of_unit = random.integers(0, 2**63, 20_000, dtype=np.uint64) >> np.uint64(64 - hash_bits)
    hashes, checks = of_unit[unit], unit.astype(np.uint32)
    time = random.integers(0, 2_000, rows) * (span // 2_000)
    arrival = {
        "received_at": random.integers(0, 3, rows),
        "source": random.integers(0, 2, rows),
        "record_offset": random.permutation(rows),
    }
    found = in_order(hashes, checks, time, arrival)
    rank_of: dict[int, int] = {}
    ranks = np.array([rank_of.setdefault(one, len(rank_of)) for one in unit[found.order].tolist()])
    assert len(found.undecided) == 0
    assert np.array_equal(found.unit, ranks), "each unit's events stand together"
    wanted = np.lexsort([*reversed(list(arrival.values())), time, ranks_by_row(found.order, ranks)])
    assert np.array_equal(found.order, wanted)
    assert np.array_equal(found.time, time[wanted])


def ranks_by_row(order: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    found = np.empty_like(ranks)
    found[order] = ranks
    return found


def test_where_the_time_of_arrival_is_the_same_more_is_needed_to_decide() -> None:
    hashes, checks = np.full(3, 7, np.uint64), np.zeros(3, np.uint32)
    time = np.array([5, 5, 4], np.int64)
    alike = in_order(hashes, checks, time, {"received_at": np.array([9, 9, 9], np.int32)})
    assert set(alike.undecided.tolist()) < {0, 1}
    assert len(alike.undecided) > 0
    found = in_order(hashes, checks, time, {"received_at": np.array([9, 8, 9], np.int32)})
    assert (found.order.tolist(), found.undecided.tolist()) == ([2, 1, 0], [])


def test_units_of_one_hash_are_told_apart_by_their_checks() -> None:
    hashes = np.full(4, 7, np.uint64)
    found = in_order(hashes, np.array([2, 1, 2, 1], np.uint32), np.arange(4), {})
    assert (found.order.tolist(), found.unit.tolist()) == ([1, 3, 0, 2], [0, 0, 1, 1])
