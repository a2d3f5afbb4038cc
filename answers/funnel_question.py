"""One funnel question as a value: what the command line, a file of saved funnels and Python callers ask alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, cast, get_args

from answers.funnel_conditions import Condition, parse_condition
from answers.funnel_trend import EVERY, Every
from ladder.durations import format_duration, parse_duration
from ladder.errors import UsageError
from ladder.tiers import MAX_DURATION

Order = Literal["ordered", "strict", "unordered"]
ORDERS: tuple[Order, ...] = get_args(Order)

MAX_STEPS = 20
WINDOW = timedelta(days=14)
"""How long an attempt may take where nobody says."""

Name = Callable[[str], str]


@dataclass(frozen=True)
class Exclusion:
    """What must not happen after step ``after`` and before step ``before``.  ``event`` is written as a step is."""

    event: str
    after: int
    before: int


@dataclass(frozen=True)
class Question:
    """A funnel, complete and checked (``ask`` makes them).  Steps count from 1.

    ``steps``: each an event's name, ``tier:NAME[:ROLE]`` or ``step:NAME[:ROLE]`` of the ladder (role yes where none is
    named), or ``event:NAME`` for an event whose name looks like one of these.
    ``unit``: visitor, user, session, or a property.  ``attribution``: first, last, step:N or all.
    An attempt starts in [since, until); its later steps may come after ``until``.  ``trend``: also by the period that
    the attempt starts in.
    """

    steps: tuple[str, ...]
    order: Order = "ordered"
    window: timedelta = WINDOW
    step_windows: tuple[tuple[int, timedelta], ...] = ()
    unit: str = "visitor"
    exclusions: tuple[Exclusion, ...] = ()
    where: Condition | None = None
    step_where: tuple[tuple[int, Condition], ...] = ()
    optional: tuple[int, ...] = ()
    first_ever: tuple[int, ...] = ()
    first_matching: tuple[int, ...] = ()
    by: str | None = None
    attribution: str = "first"
    hold: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    trend: Every | None = None

    @property
    def attributed_step(self) -> int | None:
        """The N of an attribution ``step:N``."""
        return int(self.attribution[5:]) if self.attribution.startswith("step:") else None


def ask(
    steps: Sequence[str],
    *,
    order: str = "ordered",
    window: str | timedelta = WINDOW,
    step_window: Iterable[str] = (),
    unit: str = "visitor",
    exclude: Iterable[str] = (),
    where: str | None = None,
    step_where: Iterable[str] = (),
    optional: Iterable[int] = (),
    first_ever: Iterable[int] = (),
    first_matching: Iterable[int] = (),
    by: str | None = None,
    attribution: str | None = None,
    hold: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    trend: str | None = None,
    name: Name = lambda field: field,
) -> Question:
    """A question from what people write: ``step_window`` as ``N:1h``, ``exclude`` as ``X`` or ``X:1:2``.

    ``name`` says how a field is called where the question comes from.  Raises ``UsageError``, which names the field and
    the fix.
    """

    def refuse(field: str, reason: str) -> UsageError:
        return UsageError(f"{name(field)}: {reason}")

    steps = tuple(steps)
    if not 1 <= len(steps) <= MAX_STEPS:
        raise refuse("steps", f"a funnel has 1 to {MAX_STEPS} steps, this one has {len(steps)}")
    if not all(steps):
        raise refuse("steps", "a step needs a name")
    if order not in ORDERS:
        raise refuse("order", f"{order!r} is none of {', '.join(ORDERS)}")
    if trend is not None and trend not in EVERY:
        raise refuse("trend", f"{trend!r} is none of {', '.join(EVERY)}")
    reader = _Reader(len(steps), refuse)
    question = Question(
        steps,
        order=cast(Order, order),
        window=reader.duration("window", window),
        step_windows=reader.step_windows(step_window),
        unit=_given("unit", unit, refuse),
        exclusions=tuple(reader.exclusion(text) for text in exclude),
        where=None if where is None else reader.condition("where", where),
        step_where=reader.step_where(step_where),
        optional=reader.numbers("optional", optional),
        first_ever=reader.numbers("first_ever", first_ever),
        first_matching=reader.numbers("first_matching", first_matching),
        by=None if by is None else _given("by", by, refuse),
        attribution=_attribution(attribution, by, len(steps), refuse),
        hold=None if hold is None else _given("hold", hold, refuse),
        since=since,
        until=until,
        trend=cast("Every | None", trend),
    )
    _check_together(question, refuse)
    return question


def _check_together(question: Question, refuse: Callable[[str, str], UsageError]) -> None:
    if 1 in question.optional:
        raise refuse("optional", "step 1 begins the attempt and cannot be optional")
    if len(question.optional) == len(question.steps):
        raise refuse("optional", "one step at least must not be optional")
    twice = set(question.first_ever) & set(question.first_matching)
    if twice:
        raise refuse("first_matching", f"step {min(twice)} has first_ever already; choose one of the two")
    if question.order == "unordered":
        given = {
            "step_window": question.step_windows,
            "exclude": question.exclusions,
            "optional": question.optional,
        }
        for field, value in given.items():
            if value:
                raise refuse(field, "says nothing of an unordered funnel, whose steps have no order; leave it out")
    if question.order == "strict" and question.exclusions:
        raise refuse("exclude", "says nothing of a strict funnel, which lets no event come between; leave it out")
    for exclusion in question.exclusions:
        loose = {exclusion.after, exclusion.before} & set(question.optional)
        if loose:
            raise refuse("exclude", f"step {min(loose)} is optional; an exclusion lies between two that are not")
    times = {"since": question.since, "until": question.until}
    for field, time in times.items():
        if time is not None and time.tzinfo is None:
            raise refuse(field, f"{time} has no zone; give one, such as {time.replace(tzinfo=UTC)}")
    if question.since is not None and question.until is not None and question.since >= question.until:
        raise refuse("until", "must be later than since")


class _Reader:
    def __init__(self, steps: int, refuse: Callable[[str, str], UsageError]) -> None:
        self._steps = steps
        self._refuse = refuse

    def step(self, field: str, text: str | int) -> int:
        wrong = self._refuse(field, f"{text!r} is no step; there are 1 to {self._steps}")
        if isinstance(text, bool) or not re.fullmatch(r"[0-9]{1,3}", str(text)):
            raise wrong
        if not 1 <= int(text) <= self._steps:
            raise wrong
        return int(text)

    def numbers(self, field: str, values: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({self.step(field, value) for value in values}))

    def duration(self, field: str, value: str | timedelta) -> timedelta:
        try:
            duration = parse_duration(value) if isinstance(value, str) else value
        except ValueError as error:
            raise self._refuse(field, str(error)) from None
        if not timedelta() <= duration <= MAX_DURATION:
            raise self._refuse(field, f"must be 0s to {format_duration(MAX_DURATION)}")
        return duration

    def condition(self, field: str, text: str) -> Condition:
        try:
            return parse_condition(text)
        except UsageError as error:
            raise self._refuse(field, str(error)) from None

    def step_windows(self, texts: Iterable[str]) -> tuple[tuple[int, timedelta], ...]:
        found: dict[int, timedelta] = {}
        for step, text in self._numbered("step_window", texts, "2:1h"):
            if step == 1:
                raise self._refuse("step_window", "step 1 has no step before it; `window` is for all of the attempt")
            found[step] = self.duration("step_window", text)
        return tuple(sorted(found.items()))

    def step_where(self, texts: Iterable[str]) -> tuple[tuple[int, Condition], ...]:
        found = {
            step: self.condition("step_where", text)
            for step, text in self._numbered("step_where", texts, "2:plan = 'pro'")
        }
        return tuple(sorted(found.items()))

    def exclusion(self, text: str) -> Exclusion:
        event, *places = text.rsplit(":", 2)
        if len(places) < 2 or not all(re.fullmatch(r"[0-9]{1,3}", place) for place in places):
            event, places = text, ["1", str(self._steps)]
        after, before = (self.step("exclude", place) for place in places)
        if not event:
            raise self._refuse("exclude", f"{text!r} names no event; write it as 'Refund Asked:1:2'")
        if after >= before:
            raise self._refuse("exclude", f"{text!r}: step {after} does not come before step {before}")
        return Exclusion(event, after, before)

    def _numbered(self, field: str, texts: Iterable[str], example: str) -> Iterable[tuple[int, str]]:
        seen: set[int] = set()
        for text in texts:
            number, colon, rest = text.partition(":")
            if not colon:
                raise self._refuse(field, f"{text!r} names no step; write it as {example!r}")
            step = self.step(field, number.strip())
            if step in seen:
                raise self._refuse(field, f"step {step} has two; join them")
            seen.add(step)
            yield step, rest


def _attribution(attribution: str | None, by: str | None, steps: int, refuse: Callable[[str, str], UsageError]) -> str:
    if attribution is None:
        return "first"
    if by is None:
        raise refuse("attribution", "says which value counts for `by`, which is missing")
    if attribution in ("first", "last", "all"):
        return attribution
    number = attribution.removeprefix("step:")
    if number == attribution or not re.fullmatch(r"[0-9]{1,3}", number) or not 1 <= int(number) <= steps:
        raise refuse("attribution", f"{attribution!r} is none of first, last, all, and step:1 to step:{steps}")
    return f"step:{int(number)}"


def _given(field: str, text: str, refuse: Callable[[str, str], UsageError]) -> str:
    if not text:
        raise refuse(field, "is empty; name a property")
    return text
