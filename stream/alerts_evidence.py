"""What the counts say against the usual rate: likelihood ratios that are 1 or less on average while all is well.

"Well" is every true rate of at least (1 - epsilon) of the usual one; "fallen" is (1 - delta) of it, delta > epsilon.  A
cohort is the asks of one minute.  Whoever has not answered yet may still do: a cohort of age a says only what it can
(a cure-rate model, as in survival CUSUMs: Sego, Reynolds, Woodall 2009; Oliveira, Cabral, Louzada 2016).

Shapes: ages run from the oldest cohort to the newest (row -1 is the current minute); arrays are (ages, configurations,
keys) and results (..., configurations, deltas, keys).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

DELTAS: Singles = np.array([0.10, 0.17, 0.27, 0.40, 0.60, 0.85], dtype=np.float32)
"""The falls that are looked for, mixed with equal weights."""
_TERMS = 3


def gain_of_a_yes(epsilon: Singles) -> Singles:
    """ln((1 - delta) / (1 - epsilon)), (configurations, deltas, keys), for ``epsilon`` (configurations, keys)."""
    return np.asarray(np.log1p(-DELTAS)[None, :, None] - np.log1p(-epsilon)[:, None, :], dtype=np.float32)


def by_cohort(
    asks: Singles, yeses: Singles, due: Singles, epsilon: Singles, out: tuple[Singles, Singles] | None = None
) -> Singles:
    """Log L of each cohort: (ages, configurations, deltas, keys).

    ``asks`` and ``yeses`` (so far) are (ages, keys); ``due`` = p F(age), the share that should have said yes by now.
    log L = Y ln((1-delta)/(1-epsilon)) + (A-Y) ln[(1-(1-delta) p F) / (1-(1-epsilon) p F)]: the likelihood ratio of all
    that is known of these people now, so a martingale in their age as well as from cohort to cohort.  ``out``: two
    arrays of the result's shape to work in; the first is the result.
    """
    shape = (*due.shape[:2], len(DELTAS), due.shape[2])
    evidence, more = out if out is not None else (np.empty(shape, np.float32), np.empty(shape, np.float32))
    np.multiply(due[:, :, None, :], (DELTAS - 1)[None, None, :, None], out=evidence)
    np.log1p(evidence, out=evidence)
    evidence -= np.log1p(-due * (1 - epsilon))[:, :, None, :]
    evidence *= (asks - yeses)[:, None, None, :]
    np.multiply(yeses[:, None, None, :], gain_of_a_yes(epsilon), out=more)
    evidence += more
    return np.asarray(evidence)


def by_minute(silent: Singles, yeses: Singles, hazard: Singles, epsilon: Singles) -> Singles:
    """Log L of one calendar minute, over all cohorts in flight: (configurations, deltas, keys).

    ``silent`` (ages, keys): who had not answered before the minute and has not now; ``yeses`` (keys): who did in it;
    ``hazard`` = p f(a) / (1 - p F(a-1)), the chance to.  ln[(1-(1-delta)h) / (1-(1-epsilon)h)] is summed as the first
    ``_TERMS`` terms of its series: those left out are positive, so the expectation is still at most 1.
    """
    total = yeses[None, None, :] * gain_of_a_yes(epsilon)
    power = np.ones_like(hazard)
    for term in range(1, _TERMS + 1):
        power = power * hazard
        at_risk = np.einsum("ak,ack->ck", silent, power)
        kept = (1 - epsilon)[:, None, :] ** term - ((1 - DELTAS) ** term)[None, :, None]
        total += at_risk[:, None, :] * kept / term
    return np.asarray(total.astype(np.float32))


def summed(evidence: Singles, groups: list[NDArray[np.int64]]) -> Singles:
    """The evidence of keys followed by that of groups of keys, on the last axis.

    Log L of independent people add up.  A group's evidence is the sum of what each segment says against its *own* usual
    rate, so people moving from one segment to another (a mix shift) say nothing.
    """
    if not groups:
        return evidence
    together = [evidence[..., members].sum(axis=-1, keepdims=True) for members in groups]
    return np.concatenate([evidence, *together], axis=-1)
