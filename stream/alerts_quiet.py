"""Silence: a key from which nothing comes at all tells nothing of people, and much of the pipes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CREDIBLE = 0.5
"""The share of the expected counts that is taken for sure: volumes swing more than rates."""
SUSPECT = 3.0
"""Expected counts missing (so counted) from which on minutes of silence are no evidence of people saying no."""
_RECENT = np.exp(-1 / 120)


def recent_volume(volume: Floats, counts: Floats, quiet: Floats) -> Floats:
    """Counts a minute, smoothed over two hours; a key that is silent suspiciously keeps what it had before."""
    moved = _RECENT * volume + (1 - _RECENT) * counts
    return np.asarray(np.where(quiet >= SUSPECT, volume, moved))


def missing(quiet: Floats, usual: Floats, volume: Floats, counts: Floats) -> Floats:
    """Counts that should have come since the last one did.

    Each silent minute adds half of what the hour of the week usually brings or of what came lately, whichever is less.
    A Poisson stream of that rate would be silent for so long with a chance of exp(-result).
    """
    return np.asarray(np.where(counts > 0, 0.0, quiet + CREDIBLE * np.minimum(usual, volume)))
