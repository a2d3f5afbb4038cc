"""All that a detector remembers, as arrays; saved and restored to the bit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ladder.errors import UsageError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Whole = NDArray[np.int64]
Truths = NDArray[np.bool_]

_VERSION = 2


@dataclass
class State:
    """One column per key (K) or per unit (U: the keys, then the groups of keys).

    W rows are cohorts in flight, or minutes, from the oldest to the newest; C configurations; D falls looked for.
    """

    minute: Whole  # (1) the last minute taken in
    # cohorts in flight
    asks: Singles  # (W, K)
    yeses: Singles  # (W, K) so far
    chance: Singles  # (W, C, K) of a yes, as it was expected when they were asked
    # the last W minutes
    due: Singles  # (W, K) yeses expected to arrive in the minute
    came: Singles  # (W, K) yeses that did
    due_by_delay: Singles  # (W, K) of late, from the longest delay to none
    came_by_delay: Singles  # (W, K)
    due_total: Floats  # (K) since the start
    came_total: Floats  # (K)
    # the usual
    hour_asks: Singles  # (RING, K) matured cohorts by hour, in the row hour % RING
    hour_yeses: Singles  # (RING, K)
    usual_volume: Floats  # (2, K) asks, and all counts, a minute at this hour of the week
    delay_counts: Floats  # (W, K)
    coefficients: Floats  # (K, PARAMETERS)
    baseline_error: Floats  # (K)
    baseline_hours: Floats  # (K)
    known_yeses: Floats  # (K) in the history that the baseline was fitted to
    wander: Floats  # (K)
    shares: Floats  # (W, K) of yeses by delay
    level_mean: Floats  # (C, K)
    level_variance: Floats  # (C, K)
    epsilon: Singles  # (C, K)
    # the statistic
    by_cohort: Floats  # (C, D, U) of the cohorts that are out of flight
    by_minute: Floats  # (C, D, U)
    log_mixture: Floats  # (U)
    # where the change began: CUSUMs of cohorts out of flight and of minutes, their last start and the totals then
    excess: Singles  # (2, D, U)
    since: Whole  # (2, D, U)
    due_then: Floats  # (2, D, U)
    came_then: Floats  # (2, D, U)
    # silence
    quiet: Floats  # (K) counts missing since the last one
    quiet_asks: Floats  # (K)
    volume: Floats  # (2, K) asks, and all counts, a minute of late
    last_seen: Whole  # (K)
    last_ask: Whole  # (K)
    dark: Truths  # (K) nothing arrives: what was in flight is given up
    # alarms that are open
    kind: NDArray[np.int8]  # (U) number in KINDS, -1: none
    raised: Whole  # (U)
    change_point: Whole  # (U)
    alarm_due: Floats  # (U) totals at the change-point
    alarm_came: Floats  # (U)
    fall: Floats  # (U) share of the yeses missing when it was raised
    factor: Floats  # (U) by which delays are longer
    recovery: Floats  # (U)


def save(state: State) -> bytes:
    """The state as the bytes of an ``.npz`` archive."""
    file = BytesIO()
    np.savez(file, version=np.array([_VERSION]), **{field.name: getattr(state, field.name) for field in fields(state)})
    return file.getvalue()


def restore(saved: bytes) -> State:
    """The state that ``save`` made these bytes of.  Raises ``UsageError`` for those of another version."""
    with np.load(BytesIO(saved), allow_pickle=False) as archive:
        if int(archive["version"][0]) != _VERSION:
            raise UsageError(
                f"the saved alert state has version {int(archive['version'][0])}, this release reads {_VERSION}; "
                "remove it, and the detectors learn from the history anew"
            )
        return State(**{field.name: archive[field.name] for field in fields(State)})
