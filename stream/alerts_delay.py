"""How long a yes takes: shares of the delays, in minutes, a column per key.

Row a of a table holds the delay of a whole minutes, so ``arrived_by`` row a is the share of all yeses that have arrived
by the end of the a-th minute after that of the ask.  Times to a yes end at the window: what would come later is a no.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STANDS_ALONE = 1000
"""Yeses from which on a key's delays are its own; a key with fewer leans on the pool of all keys."""
_LEAN = 200.0
_FLOOR = 0.5
_NONE_WAIT = 1e-6


def delay_shares(counts: Floats, *, stands_alone: int = STANDS_ALONE) -> Floats:
    """Share of the yeses at each delay: (delays, keys) counts to (delays, keys) shares, each column adding up to 1.

    A key with n yeses gets ``_LEAN`` * (1 - n / ``stands_alone``) pseudo-yeses spread as those of all keys together
    (a Dirichlet prior whose centre is the pool), and none once n reaches ``stands_alone``: such a key does not depend
    on its neighbours.  Every delay keeps half a yes, so that none is impossible.
    """
    number = counts.sum(axis=0)
    pool = counts.sum(axis=1) + _FLOOR
    lean = _LEAN * np.clip(1.0 - number / stands_alone, 0.0, 1.0)
    blended = counts + _FLOOR + lean * (pool / pool.sum())[:, None]
    return np.asarray(blended / blended.sum(axis=0))


def arrived_by(shares: Floats) -> Floats:
    """Cumulated shares; the last row is 1."""
    total = np.cumsum(shares, axis=0)
    return np.asarray(total / total[-1])


def stretched(arrived: Floats, factor: float) -> Floats:
    """``arrived_by`` if every yes took ``factor`` times as long; what then falls beyond the window never arrives.

    Within a minute those who have yet to answer do so at a constant rate: their share is interpolated on its logarithm.
    """
    waiting = np.vstack([np.ones((1, arrived.shape[1])), np.maximum(1 - arrived, _NONE_WAIT)])
    at = np.arange(1, len(arrived) + 1) / factor
    low = np.minimum(at.astype(np.int64), len(arrived) - 1)
    part = (at - low)[:, None]
    return np.asarray(1 - waiting[low] ** (1 - part) * waiting[low + 1] ** part)
