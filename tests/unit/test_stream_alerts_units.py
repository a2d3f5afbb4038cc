from __future__ import annotations

import numpy as np

from stream.alerts_units import Units

UNITS = Units(3, [(0, 2)])


def test_a_group_is_a_unit_after_the_keys() -> None:
    assert len(UNITS) == 4
    assert [UNITS.members(unit).tolist() for unit in range(4)] == [[0], [1], [2], [0, 2]]
    assert UNITS.totals(np.array([1.0, 10.0, 100.0])).tolist() == [1.0, 10.0, 100.0, 101.0]


def test_what_holds_for_a_key_holds_for_its_group_and_back() -> None:
    assert UNITS.any_of(np.array([False, False, True])).tolist() == [False, False, True, True]
    assert UNITS.any_of(np.array([False, True, False])).tolist() == [False, True, False, False]
    assert UNITS.touched(np.array([False, False, False, True])).tolist() == [True, False, True]
    assert UNITS.touched(np.array([False, True, False, False])).tolist() == [False, True, False]
