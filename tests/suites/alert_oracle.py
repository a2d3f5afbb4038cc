"""The statistic of one stream by plain loops over all cohorts and minutes: slow, and independent of the detector."""

from __future__ import annotations

from math import log

DELTAS = (0.10, 0.17, 0.27, 0.40, 0.60, 0.85)


def log_mixture(
    asks: list[int],
    arrivals: dict[tuple[int, int], int],
    chances: list[tuple[float, float]],
    shares: list[float],
    epsilons: tuple[float, float],
) -> float:
    """log M after the last minute of ``asks``.

    ``arrivals``: yeses by (minute of the ask, delay); ``chances`` of each minute's asks in the two configurations;
    ``shares`` of the delays.
    """
    last = len(asks) - 1
    components = []
    for number, epsilon in enumerate(epsilons):
        for delta in DELTAS:
            components.append(_by_cohort(asks, arrivals, [c[number] for c in chances], shares, epsilon, delta, last))
            components.append(_by_minute(asks, arrivals, [c[number] for c in chances], shares, epsilon, delta, last))
    return log(sum(components) / len(components))


def _by_cohort(
    asks: list[int],
    arrivals: dict[tuple[int, int], int],
    chances: list[float],
    shares: list[float],
    epsilon: float,
    delta: float,
    last: int,
) -> float:
    statistic = float(len(shares))  # the change may have begun in a minute before the first, when nobody was asked
    for minute, asked in enumerate(asks):
        age = min(last - minute, len(shares) - 1)
        yes = sum(arrivals.get((minute, delay), 0) for delay in range(age + 1))
        arrived = sum(shares[: age + 1])
        chance = chances[minute]
        evidence = yes * log((1 - delta) / (1 - epsilon))
        evidence += (asked - yes) * log((1 - (1 - delta) * chance * arrived) / (1 - (1 - epsilon) * chance * arrived))
        statistic = (1 + statistic) * 2.718281828459045**evidence
    return statistic


def _by_minute(
    asks: list[int],
    arrivals: dict[tuple[int, int], int],
    chances: list[float],
    shares: list[float],
    epsilon: float,
    delta: float,
    last: int,
) -> float:
    statistic = 0.0
    for now in range(last + 1):
        evidence = 0.0
        for minute in range(max(0, now - len(shares) + 1), now + 1):
            age = now - minute
            waiting = asks[minute] - sum(arrivals.get((minute, delay), 0) for delay in range(age))
            yes = arrivals.get((minute, age), 0)
            hazard = chances[minute] * shares[age] / (1 - chances[minute] * sum(shares[:age]))
            evidence += yes * log((1 - delta) / (1 - epsilon))
            evidence += (waiting - yes) * log((1 - (1 - delta) * hazard) / (1 - (1 - epsilon) * hazard))
        statistic = (1 + statistic) * 2.718281828459045**evidence
    return statistic
