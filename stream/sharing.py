"""Which worker of a group owns which partitions: evenly, and each keeps what it has as far as that goes.

Pure; ``stream.assignor`` says it to Kafka.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

Place = tuple[str, int]
"""A topic and a partition of it."""


@dataclass(frozen=True)
class Held:
    """What a worker was last given, and in which round of the group; nothing, in round 0, before its first."""

    round: int = 0
    places: frozenset[Place] = frozenset()


def shared_out(places: Collection[Place], held: Mapping[str, Held]) -> dict[str, list[Place]]:
    """Each worker's places, in order; their numbers differ by one at most, and as few places move as that allows.

    ``held``: by worker.  Of two that claim one place the later round counts: the other was out when it was given away.
    """
    holder: dict[Place, str] = {}
    for worker in sorted(held, key=lambda name: (held[name].round, name)):
        holder |= dict.fromkeys(held[worker].places & set(places), worker)
    shares: dict[str, list[Place]] = {worker: [] for worker in held}
    for place in sorted(holder):
        shares[holder[place]].append(place)
    least, more = divmod(len(places), len(held))
    # Those who hold most may keep one more than the others.
    by_holding = sorted(held, key=lambda worker: (-len(shares[worker]), worker))
    quota = {worker: least + (rank < more) for rank, worker in enumerate(by_holding)}
    for worker, share in shares.items():
        del share[quota[worker] :]
    free = sorted(set(places) - {place for share in shares.values() for place in share}, reverse=True)
    for worker in by_holding:
        while len(shares[worker]) < quota[worker]:
            shares[worker].append(free.pop())
    return {worker: sorted(share) for worker, share in shares.items()}
