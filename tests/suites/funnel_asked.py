"""The same question put to the engine and to the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from answers.funnel_answer import Answer, answer
from answers.funnel_columns import Columns, microseconds
from answers.funnel_conditions import Coded
from answers.funnel_question import Question, ask
from answers.funnel_steps import meaning_of, properties_of
from ladder.tiers import builtin_ladder
from tests.suites.funnel_oracle import Asked, Happened

BEGIN = datetime(2026, 3, 28, tzinfo=UTC)
"""Time 0; the night after it, clocks change in Europe."""
UNIT = timedelta(hours=5)
"""One of the oracle's units of time."""
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Condition:
    """``NAME = VALUE`` as text and as a function."""

    name: str
    value: str

    @property
    def text(self) -> str:
        return f"{self.name} = '{self.value}'"

    def __call__(self, properties: dict[str, Any]) -> bool:
        return properties.get(self.name) == self.value


def question_of(asked: Asked, trend: str | None = None) -> Question:
    """The oracle's question as the engine's."""

    def text(condition: Any) -> str:
        assert isinstance(condition, Condition)
        return condition.text

    return ask(
        asked.steps,
        order=asked.order,
        window=asked.window * UNIT,
        step_window=[f"{step}:{window * UNIT // timedelta(hours=1)}h" for step, window in asked.step_windows.items()],
        exclude=[f"{name}:{after}:{before}" for name, after, before in asked.exclusions],
        where=None if asked.where is None else text(asked.where),
        step_where=[f"{step}:{text(condition)}" for step, condition in asked.step_where.items()],
        optional=asked.optional,
        first_ever=asked.first_ever,
        first_matching=asked.first_matching,
        by=asked.by,
        attribution=None if asked.by is None else asked.attribution,
        hold=asked.hold,
        since=None if asked.since is None else BEGIN + asked.since * UNIT,
        until=None if asked.until is None else BEGIN + asked.until * UNIT,
        trend=trend,
    )


def columns_of(events: Sequence[Happened], properties: Sequence[str], measure: timedelta = UNIT) -> Columns:
    """The events as the engine wants them; the order of the list is that of arrival."""
    ids = sorted({event.unit for event in events})
    order = sorted(range(len(events)), key=lambda n: (ids.index(events[n].unit), events[n].at))
    ordered = [events[n] for n in order]
    return Columns(
        np.array([ids.index(event.unit) for event in ordered], np.int64),
        ids,
        np.array([microseconds(BEGIN + event.at * measure) for event in ordered], np.int64),
        coded([event.name for event in ordered]),
        {
            name: coded([event.properties.get(name.removeprefix("properties.")) for event in ordered])
            for name in properties
        },
    )


def coded(values: Sequence[Any]) -> Coded:
    """A column of values, None for absent."""
    distinct: list[Any] = []
    codes = []
    for value in values:
        same = [n for n, one in enumerate(distinct) if one == value and type(one) is type(value)]
        if value is not None and not same:
            distinct.append(value)
            same = [len(distinct) - 1]
        codes.append(-1 if value is None else same[0])
    return Coded(np.array(codes, np.int32), distinct)


def answer_of(
    events: Sequence[Happened],
    question: Question,
    *,
    parts: int = 1,
    measure: timedelta = UNIT,
    listed: int | None = None,
    as_of: datetime | None = None,
) -> Answer:
    """The engine's answer, the units dealt to so many parts."""
    meaning = meaning_of(question, builtin_ladder())
    properties = sorted(properties_of(question, meaning))
    units = sorted({event.unit for event in events})
    dealt = [[event for event in events if units.index(event.unit) % parts == part] for part in range(parts)]
    return answer(
        [columns_of(part, properties, measure) for part in dealt], question, meaning, listed=listed, as_of=as_of
    )
