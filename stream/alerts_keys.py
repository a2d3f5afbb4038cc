"""What is watched: a key per step and combination of segment values, and groups of keys whose evidence is summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Name = tuple[int, str, tuple[str, ...]]
"""Tier, step, and a value for each chosen segment."""

OTHER = "(other)"
"""Stands for all values that are not among the most frequent."""
MOST_VALUES = 20
MOST_KEYS = 5_000
WORTH_WATCHING = 20
"""Asks from which on a combination is a key of its own."""
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Group:
    """Keys of one step: all of them, or those that share some segment values.  ``members`` count keys."""

    tier: int
    step: str
    segment: tuple[tuple[str, str], ...]
    members: tuple[int, ...]


class Keys:
    """The keys in the order of the detector's columns, to which keys are only ever added."""

    def __init__(self, segments: Sequence[str], names: Sequence[Name] = ()) -> None:
        self.segments = tuple(segments)
        self.names: list[Name] = []
        self._numbers: dict[Name, int] = {}
        self._kept: list[set[str]] = [set() for _ in self.segments]
        self._found: dict[Name, int | None] = {}
        for name in names:
            self._append(name)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: Name) -> int | None:
        """The key that counts under this name belong to; None where nothing of the sort is watched (yet)."""
        if name not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            exact = self._numbers.get(self._shortened(name))
            self._found[name] = self._numbers.get(self._rest_of(name)) if exact is None else exact
        return self._found[name]

    def admit(self, asks: Mapping[Name, float]) -> int:
        """Add keys for names that were asked often enough, the most frequent first; says how many were added.

        A segment has at most ``MOST_VALUES`` values of its own, all others are one: ``OTHER``.
        """
        before = len(self)
        for place, kept in enumerate(self._kept):
            by_value: dict[str, float] = {}
            for (_, _, values), count in asks.items():
                by_value[values[place]] = by_value.get(values[place], 0) + count
            new = [value for value in by_value if value not in kept and value != OTHER]
            new.sort(key=lambda value: (-by_value[value], value))
            kept.update(v for v in new[: max(0, MOST_VALUES - len(kept))] if by_value[v] >= WORTH_WATCHING)
        wanted: dict[Name, float] = {}
        for name, count in asks.items():
            shortened = self._shortened(name)
            wanted[shortened] = wanted.get(shortened, 0) + count
        small: dict[Name, float] = {}
        for name, count in wanted.items():
            if count < WORTH_WATCHING:
                small[self._rest_of(name)] = small.get(self._rest_of(name), 0) + count
        wanted = {name: count for name, count in wanted.items() if count >= WORTH_WATCHING}
        for name, count in small.items():
            wanted[name] = wanted.get(name, 0) + count
        chosen = sorted(wanted, key=lambda name: (-wanted[name], name))
        for name in chosen:
            if wanted[name] >= WORTH_WATCHING and name not in self._numbers and len(self) < MOST_KEYS:
                self._append(name)
        self._found.clear()
        return len(self) - before

    def groups(self, known: NDArray[np.bool_], before: Sequence[Group] = ()) -> list[Group]:
        """The groups of known keys: per step, and per step and value where several segments are chosen.

        Those of ``before`` come first and keep their members.  A group has two members or more, and differs from the
        others.
        """
        members: dict[tuple[int, str, tuple[tuple[str, str], ...]], list[int]] = {
            (group.tier, group.step, group.segment): list(group.members) for group in before
        }
        fresh: dict[tuple[int, str, tuple[tuple[str, str], ...]], list[int]] = {}
        for number in map(int, np.flatnonzero(known)):
            tier, step, values = self.names[number]
            pairs = tuple(zip(self.segments, values, strict=True))
            for size in range(len(pairs)):
                for shared in combinations(pairs, size):
                    place = (tier, step, shared)
                    if place not in members:
                        fresh.setdefault(place, []).append(number)
                    elif number not in members[place]:
                        members[place].append(number)
        there = {tuple(sorted(numbers)) for numbers in members.values()}
        for place, numbers in sorted(fresh.items(), key=lambda item: (item[0][:2], len(item[0][2]), item[0][2])):
            if len(numbers) > 1 and tuple(numbers) not in there:
                there.add(tuple(numbers))
                members[place] = numbers
        return [Group(*place, tuple(numbers)) for place, numbers in members.items()]

    def shown_by(self, asks: NDArray[np.floating], yeses: NDArray[np.floating]) -> tuple[int, ...]:
        """Per key the key whose asks only people come to who said yes to it, as their volumes tell; -1 for none.

        That is the largest one of the lowest tier above it that is asked about as often as yes is said, and not more.
        """
        alike: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for number, (tier, _, values) in enumerate(self.names):
            alike.setdefault(values, []).append((tier, number))
        found = []
        for number, (tier, _, values) in enumerate(self.names):
            fitting = [
                (above, -asks[other], other)
                for above, other in alike[values]
                if above > tier and 0.3 * yeses[number] <= asks[other] <= 1.05 * yeses[number]
            ]
            found.append(int(min(fitting)[2]) if fitting and yeses[number] > 0 else -1)
        return tuple(found)

    def _append(self, name: Name) -> None:
        self._numbers[name] = len(self.names)
        self.names.append(name)
        for kept, value in zip(self._kept, name[2], strict=True):
            if value != OTHER:
                kept.add(value)

    def _shortened(self, name: Name) -> Name:
        tier, step, values = name
        return tier, step, tuple(v if v in kept else OTHER for v, kept in zip(values, self._kept, strict=True))

    def _rest_of(self, name: Name) -> Name:
        return name[0], name[1], (OTHER,) * len(self.segments)
