"""From the columns of events to what the core reads: which event may fill which step, in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from answers.funnel_conditions import Coded
from answers.funnel_question import Question
from answers.funnel_steps import Kind, Meaning
from answers.funnel_stream import Events, Flags, Ints, Rules, grouped
from ladder.durations import in_microseconds

NONE = "(none)"
"""How the absence of a property is called among its values."""


@dataclass(frozen=True)
class Columns:
    """Events, unit after unit, each unit's in the order of time and arrival.

    ``unit``: codes of the units, rising.  ``ids``: of the units, by code.  ``time``: microseconds since 1970.
    """

    unit: Ints
    ids: Sequence[str]
    time: Ints
    name: Coded
    properties: Mapping[str, Coded]


@dataclass(frozen=True)
class Prepared:
    """The events that matter, and beside each its unit's code, the value held and the value to break down by.

    Values are codes, -1 for none; ``labels`` says what those of ``by`` are called.
    """

    events: Events
    unit: Ints
    hold: Ints | None
    by: Ints | None
    labels: Sequence[str]


def rules_of(question: Question) -> Rules:
    """The question's rules in numbers."""
    return Rules(
        len(question.steps),
        question.order,
        in_microseconds(question.window),
        {step: in_microseconds(window) for step, window in question.step_windows},
        frozenset(question.optional),
        tuple((one.after, one.before) for one in question.exclusions),
    )


def prepare(columns: Columns, question: Question, meaning: Meaning) -> Prepared:
    """Apply all conditions; leave out what can make no difference."""
    names = {name: code for code, name in enumerate(columns.name.values)}

    def of_kinds(kinds: Iterable[Kind]) -> Flags:
        flags = np.zeros(len(columns.time), np.bool_)
        for kind in kinds:
            one = np.ones_like(flags) if kind.event is None else columns.name.codes == names.get(kind.event, -2)
            flags |= one if kind.condition is None else one & kind.condition.flags(columns.properties)
        return flags

    def is_plain(step: int, kinds: Iterable[Kind]) -> bool:
        """Whether an event's name alone says that it may fill the step."""
        special = {*question.first_ever, *question.first_matching, *(number for number, _ in question.step_where)}
        return step not in special and all(one.event is not None and one.condition is None for one in kinds)

    counted = np.ones(len(columns.time), np.bool_)
    if question.where is not None:
        counted = question.where.flags(columns.properties)
    step_where = dict(question.step_where)
    by_name = np.zeros(len(columns.name.values) + 1, np.uint32)
    for step, kinds in enumerate(meaning.steps, start=1):
        if is_plain(step, kinds):
            meant = [names[kind.event] for kind in kinds if kind.event is not None and kind.event in names]
            by_name[meant] |= np.uint32(1 << (step - 1))
    fits = by_name[columns.name.codes]
    if question.where is not None:
        fits[~counted] = 0
    for step, kinds in enumerate(meaning.steps, start=1):
        if is_plain(step, kinds):
            continue
        flags = of_kinds(kinds)
        if step in question.first_ever:
            flags = _first_of_each(columns.unit, flags)
        flags &= counted
        if step in step_where:
            flags &= step_where[step].flags(columns.properties)
        if step in question.first_matching:
            flags = _first_of_each(columns.unit, flags)
        fits |= flags.astype(np.uint32) << np.uint32(step - 1)
    excluded = [of_kinds(kinds) & counted for kinds in meaning.exclusions]

    kept = counted
    if question.order != "strict":
        kept = fits > 0
        for flags in excluded:
            kept |= flags
    hold = None if question.hold is None else _canonical(columns.properties[question.hold])
    by, labels = (None, []) if question.by is None else _labelled(columns.properties[question.by])
    # Where all count, as they mostly do, a slice spares copies of every column.
    rows = slice(None) if kept.all() else np.flatnonzero(kept)
    unit = columns.unit[rows]
    time = columns.time[rows]
    may_start = np.ones(len(time), np.bool_)
    if question.since is not None:
        may_start &= time >= microseconds(question.since)
    if question.until is not None:
        may_start &= time < microseconds(question.until)
    events = Events(grouped(unit), time, fits[rows], may_start, tuple(flags[rows] for flags in excluded))
    return Prepared(events, unit, None if hold is None else hold[rows], None if by is None else by[rows], labels)


def microseconds(time: datetime) -> int:
    """A time as the columns have it."""
    return in_microseconds(time - datetime(1970, 1, 1, tzinfo=UTC))


def label(value: object) -> str:
    """A value as people read it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_of_each(unit: Ints, flags: Flags) -> Flags:
    """Of each unit's flagged events only the first."""
    rows = np.flatnonzero(flags)
    first = np.zeros_like(flags)
    first[rows[np.flatnonzero(np.diff(unit[rows], prepend=-1))]] = True
    return first


def _canonical(coded: Coded) -> Ints:
    """Codes in which equal values are one: 1 and 1.0, but not 1 and true, nor 1 and "1"."""
    known: dict[tuple[str, object], int] = {}
    table = np.array([known.setdefault(_key(value), len(known)) for value in coded.values] + [-1], np.int64)
    return np.asarray(table[coded.codes], np.int64)


def _key(value: object) -> tuple[str, object]:
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, str):
        return "text", value
    return "json", json.dumps(value, sort_keys=True)


def _labelled(coded: Coded) -> tuple[Ints, list[str]]:
    known: dict[str, int] = {}
    table = np.array([known.setdefault(label(value), len(known)) for value in coded.values] + [-1], np.int64)
    return np.asarray(table[coded.codes], np.int64), list(known)
