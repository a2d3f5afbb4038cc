"""Events and questions at random: any option of a funnel, or those that are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.suites.funnel_asked import Condition
from tests.suites.funnel_oracle import Asked, Happened

VALUES = st.sampled_from(["u", "u", "v", None])


@st.composite
def happened(draw: Any, steps: tuple[str, ...], most: int) -> list[Happened]:
    """Events of two units, of names that the steps have, close together and often at one instant."""
    found = []
    for unit in draw(st.sampled_from([["one"], ["one", "two"]])):
        at = 0
        for _ in range(draw(st.integers(1, most))):
            at += draw(st.sampled_from([0, 1, 1, 2]))
            properties = {key: value for key in ("p", "q") if (value := draw(VALUES)) is not None}
            found.append(Happened(unit, at, draw(st.sampled_from([*steps, *steps, "X"])), properties))
    return found


CONDITIONS = st.builds(Condition, st.sampled_from(["p", "q"]), st.sampled_from(["u", "v"]))


def numbered(draw: Any, steps: int, first: int = 1) -> int:
    return int(draw(st.integers(first, steps)))


OPTIONS: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "strict": lambda draw, steps: {"order": "strict"},
    "unordered": lambda draw, steps: {"order": "unordered"},
    "step window": lambda draw, steps: {"step_windows": {numbered(draw, steps, 2): draw(st.integers(0, 4))}},
    "exclude": lambda draw, steps: {"exclusions": tuple(exclusion(draw, steps) for _ in range(numbered(draw, 2)))},
    "where": lambda draw, steps: {"where": draw(CONDITIONS)},
    "step where": lambda draw, steps: {"step_where": {numbered(draw, steps): draw(CONDITIONS)}},
    "optional": lambda draw, steps: {"optional": draw(st.frozensets(st.integers(2, steps), min_size=1, max_size=2))},
    "first ever": lambda draw, steps: {"first_ever": frozenset({numbered(draw, steps)})},
    "first matching": lambda draw, steps: {"first_matching": frozenset({numbered(draw, steps)})},
    "by first": lambda draw, steps: {"by": "p", "attribution": "first"},
    "by last": lambda draw, steps: {"by": "p", "attribution": "last"},
    "by step": lambda draw, steps: {"by": "p", "attribution": f"step:{numbered(draw, steps)}"},
    "by all": lambda draw, steps: {"by": "p", "attribution": "all"},
    "hold": lambda draw, steps: {"hold": "q"},
    "since": lambda draw, steps: {"since": draw(st.integers(1, 3))},
    "until": lambda draw, steps: {"until": draw(st.integers(3, 7))},
}  # fmt: skip


def exclusion(draw: Any, steps: int) -> tuple[str, int, int]:
    after = int(draw(st.integers(1, steps - 1)))
    return draw(st.sampled_from(["X", "X", "A", "B"])), after, int(draw(st.integers(after + 1, steps)))


@st.composite
def cases(draw: Any, chosen: tuple[str, ...] = (), most: int = 8) -> tuple[list[Happened], Asked]:
    """A question with these options, or with any, and events."""
    steps = tuple(
        draw(st.sampled_from([["A", "B"], ["A", "B", "C"], ["A", "A"], ["A", "B", "A"], ["A", "B", "C", "B"]]))
    )
    wanted = chosen or draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=5, unique=True))
    options: dict[str, Any] = {"window": draw(st.sampled_from([3, 5, 9, 1, 0, 2, 4]))}
    for option in wanted:
        options |= OPTIONS[option](draw, len(steps))
    return draw(happened(steps, most)), Asked(steps, **options)
