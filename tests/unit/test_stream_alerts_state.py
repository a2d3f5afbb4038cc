from __future__ import annotations

from dataclasses import fields
from io import BytesIO

import numpy as np
import pytest

from ladder.errors import UsageError
from stream.alerts_learning import first_state
from stream.alerts_state import State, restore, save
from tests.suites.alert_world import history


def test_a_state_comes_back_to_the_bit() -> None:
    state = first_state(history([3.0, 1.0], [0.3, 0.4]), groups=1)

    back = restore(save(state))

    for field in fields(State):
        before, after = getattr(state, field.name), getattr(back, field.name)
        assert (before.dtype, before.tobytes()) == (after.dtype, after.tobytes()), field.name


def test_a_state_of_another_version_is_refused() -> None:
    file = BytesIO()
    np.savez(file, version=np.array([0]))

    with pytest.raises(UsageError, match="version 0, this release reads 2"):
        restore(file.getvalue())
