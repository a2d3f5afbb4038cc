"""The funnel's oracle: every attempt of a unit is enumerated, and the best is chosen by the rules of docs/funnel.md.

Slow and plain on purpose.  It shares no code with the engine: conditions are Python functions here, steps are sets of
events, and an attempt is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

Properties = dict[str, Any]
Test = Callable[[Properties], bool]


@dataclass(frozen=True)
class Happened:
    """An event of a unit.  Of one unit's the order of the list is that of arrival."""

    unit: str
    at: int
    name: str
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A funnel; times and durations in the events' own measure.  ``where`` and ``step_where`` are functions here."""

    steps: tuple[str, ...]
    order: str = "ordered"
    window: int = 10
    step_windows: dict[int, int] = field(default_factory=dict)
    exclusions: tuple[tuple[str, int, int], ...] = ()
    where: Test | None = None
    step_where: dict[int, Test] = field(default_factory=dict)
    optional: frozenset[int] = frozenset()
    first_ever: frozenset[int] = frozenset()
    first_matching: frozenset[int] = frozenset()
    by: str | None = None
    attribution: str = "first"
    hold: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Found:
    """One attempt: the event (its place among the unit's) at each step that it fills."""

    places: tuple[tuple[int, int], ...]
    """(step, place), by step."""

    @property
    def furthest(self) -> int:
        return max(step for step, _ in self.places)


def counts(events: Sequence[Happened], asked: Asked) -> tuple[list[int], dict[str, list[int]], list[list[int]]]:
    """Counts per step, counts by value, and per step all durations from the step before, sorted."""
    total = [0] * len(asked.steps)
    by: dict[str, list[int]] = {}
    durations: list[list[int]] = [[] for _ in asked.steps]
    for unit in dict.fromkeys(event.unit for event in events):
        unit_events = sorted((event for event in events if event.unit == unit), key=lambda event: event.at)
        best = best_of_unit(unit_events, asked)
        if best is not None:
            _book(total, best)
            for (_, before), (step, place) in zip(best.places, best.places[1:], strict=False):
                durations[step - 1].append(unit_events[place].at - unit_events[before].at)
        if asked.by is None:
            continue
        if asked.attribution == "all":
            for value in {_label(event.properties.get(asked.by)) for event in unit_events} - {"(none)"}:
                sharing = best_of_unit(unit_events, asked, _has_label(asked.by, value))
                if sharing is not None:
                    _book(by.setdefault(value, [0] * len(asked.steps)), sharing)
        elif best is not None:
            _book(by.setdefault(_attributed(unit_events, best, asked), [0] * len(asked.steps)), best)
    return total, by, [sorted(one) for one in durations]


def booked(
    events: Sequence[Happened], asked: Asked, as_of: int, day_of: Callable[[int], int]
) -> dict[int, tuple[list[int], list[int]]]:
    """By the day that units entered on: counts of those whose window had passed, and of the others."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for unit in dict.fromkeys(event.unit for event in events):
        unit_events = sorted((event for event in events if event.unit == unit), key=lambda event: event.at)
        best = best_of_unit(unit_events, asked)
        if best is not None:
            entry = unit_events[best.places[0][1]].at
            counts_of = found.setdefault(day_of(entry), ([0] * len(asked.steps), [0] * len(asked.steps)))
            _book(counts_of[0] if entry + asked.window < as_of else counts_of[1], best)
    return found


def best_of_unit(events: Sequence[Happened], asked: Asked, shared: Test | None = None) -> Found | None:
    """The best attempt of one unit's events, which are in order; None where none counts."""
    held: list[Any] = [None]
    if asked.hold is not None:
        held = []
        for event in events:
            value = event.properties.get(asked.hold)
            if value is not None and value not in held:
                held.append(value)
    found = []
    for value in held:
        visible = [
            place
            for place, event in enumerate(events)
            if (asked.where is None or asked.where(event.properties))
            and (shared is None or shared(event.properties))
            and (asked.hold is None or event.properties.get(asked.hold) == value)
        ]
        best = _best_of(events, visible, asked)
        if best is not None:
            found.append(best)
    return min(found, key=lambda one: _rank(events, one)) if found else None


def _best_of(events: Sequence[Happened], visible: list[int], asked: Asked) -> Found | None:
    fits = [{place for place in visible if _may_fill(events, place, step, asked)} for step in _steps(asked)]
    attempts = list(
        _unordered(events, fits, asked) if asked.order == "unordered" else _in_order(events, visible, fits, asked)
    )
    if not attempts:
        return None
    clean = [one for one in attempts if not _is_spoiled(events, visible, one, asked)]
    furthest = max(one.furthest for one in attempts)
    clean = [one for one in clean if one.furthest == furthest]
    if not clean:
        return None
    # Of the attempts with one last event only those that begin last are looked at.
    last_start: dict[int, int] = {}
    for one in clean:
        end = one.places[-1][1]
        last_start[end] = max(last_start.get(end, -1), one.places[0][1])
    clean = [one for one in clean if one.places[0][1] == last_start[one.places[-1][1]]]
    best = min(clean, key=lambda one: _rank(events, one))
    if asked.order == "unordered":
        return _moments(fits, best)
    return best


def _rank(events: Sequence[Happened], one: Found) -> tuple[Any, ...]:
    """The smallest is the best."""
    first, last = one.places[0][1], one.places[-1][1]
    return (
        -one.furthest,
        events[last].at - events[first].at,
        -len(one.places),
        first,
        [step for step, _ in one.places],
        [place for _, place in one.places],
    )


def _may_fill(events: Sequence[Happened], place: int, step: int, asked: Asked) -> bool:
    def is_meant(event: Happened) -> bool:
        return event.name == asked.steps[step - 1]

    def passes(event: Happened) -> bool:
        condition = asked.step_where.get(step)
        return (asked.where is None or asked.where(event.properties)) and (
            condition is None or condition(event.properties)
        )

    event = events[place]
    if not is_meant(event) or not passes(event):
        return False
    if step in asked.first_ever:
        return place == min(n for n, other in enumerate(events) if is_meant(other))
    if step in asked.first_matching:
        return place == min(n for n, other in enumerate(events) if is_meant(other) and passes(other))
    return True


def _may_start(event: Happened, asked: Asked) -> bool:
    return (asked.since is None or event.at >= asked.since) and (asked.until is None or event.at < asked.until)


def _in_order(events: Sequence[Happened], visible: list[int], fits: list[set[int]], asked: Asked) -> Iterator[Found]:
    """Every attempt, spoiled or not."""
    required = [step for step in _steps(asked) if step not in asked.optional]
    for size in range(1, len(asked.steps) + 1):
        for steps in combinations(_steps(asked), size):
            if any(step < steps[-1] and step not in steps for step in required):
                continue
            for places in combinations(visible, size):
                if any(place not in fits[step - 1] for step, place in zip(steps, places, strict=True)):
                    continue
                if _keeps_to_the_rules(events, visible, steps, places, asked):
                    yield Found(tuple(zip(steps, places, strict=True)))


def _keeps_to_the_rules(
    events: Sequence[Happened], visible: list[int], steps: Sequence[int], places: Sequence[int], asked: Asked
) -> bool:
    if not _may_start(events[places[0]], asked):
        return False
    if events[places[-1]].at - events[places[0]].at > asked.window:
        return False
    for before, place, step in zip(places, places[1:], steps[1:], strict=False):
        limit = asked.step_windows.get(step)
        if limit is not None and events[place].at - events[before].at > limit:
            return False
        if asked.order == "strict" and any(before < other < place for other in visible):
            return False
    return True


def _is_spoiled(events: Sequence[Happened], visible: list[int], one: Found, asked: Asked) -> bool:
    at = dict(one.places)
    used = set(at.values())
    ends = events[one.places[0][1]].at + asked.window
    for name, after, before in asked.exclusions:
        if after not in at:
            continue
        for place in visible:
            if events[place].name != name or place in used or place <= at[after]:
                continue
            if (before in at and place < at[before]) or (before not in at and events[place].at <= ends):
                return True
    return False


def _unordered(events: Sequence[Happened], fits: list[set[int]], asked: Asked) -> Iterator[Found]:
    """Every set of events that can fill as many steps, numbered in their order."""
    fitting = sorted(set().union(*fits))
    for size in range(1, len(asked.steps) + 1):
        for places in combinations(fitting, size):
            if not _may_start(events[places[0]], asked):
                continue
            if events[places[-1]].at - events[places[0]].at > asked.window:
                continue
            if _can_fill(fits, places):
                yield Found(tuple(enumerate(places, start=1)))


def _can_fill(fits: list[set[int]], places: Sequence[int]) -> bool:
    """Whether each of the events can fill a step of its own."""
    return any(
        all(place in fits[step] for step, place in zip(steps, places, strict=True))
        for steps in permutations(range(len(fits)), len(places))
    )


def _moments(fits: list[set[int]], best: Found) -> Found:
    """The events with which one, two, three steps were complete, counted from the attempt's start."""
    start, end = best.places[0][1], best.places[-1][1]
    found = []
    for number in range(1, best.furthest + 1):
        for last in range(start, end + 1):
            inside = [place for place in sorted(set().union(*fits)) if start <= place <= last]
            if any(_can_fill(fits, some) for some in combinations(inside, number)):
                found.append((number, last))
                break
    return Found(tuple(found))


def _attributed(events: Sequence[Happened], best: Found, asked: Asked) -> str:
    assert asked.by is not None
    values = [(step, events[place].properties.get(asked.by)) for step, place in best.places]
    if asked.attribution.startswith("step:"):
        return _label(dict(values).get(int(asked.attribution[5:])))
    there = [value for _, value in values if value is not None]
    if not there:
        return "(none)"
    return _label(there[0] if asked.attribution == "first" else there[-1])


def _has_label(name: str, value: str) -> Test:
    return lambda properties: _label(properties.get(name)) == value


def _label(value: Any) -> str:
    return "(none)" if value is None else str(value)


def _book(counts: list[int], one: Found) -> None:
    for step, _ in one.places:
        counts[step - 1] += 1


def _steps(asked: Asked) -> range:
    return range(1, len(asked.steps) + 1)
