"""The funnel builder: a question put together from lists, its answer, and the question in other words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from answers.dashboard.page import Asked, Page
from answers.funnel import answer_question
from answers.funnel_answer import Answer, StepResult
from answers.funnel_command import MANY, NUMBERS, ONE, as_command
from answers.funnel_events import COLUMNS
from answers.funnel_file import load_funnels
from answers.funnel_kept import kept_answer
from answers.funnel_question import ORDERS, Question, ask
from answers.funnel_sql import as_sql
from answers.funnel_steps import meaning_of
from answers.funnel_table import headline
from answers.funnel_trend import EVERY
from ladder.errors import UsageError
from ladder.tiers import ROLES, Ladder
from warehouse.opened import identity_of
from warehouse.query import open_marts
from warehouse.tallies import event_names

EVENTS_OFFERED = 300
LEAST_STEPS = 4
MOST_STEPS = 20
VALUES_SHOWN = 20


def page(asked: Asked) -> Page:
    """Without steps the form alone.  Raises ``UsageError`` in the words of the form."""
    given = given_of(asked)
    saved, kept = asked.one("saved"), _saved(asked.funnels)
    if saved is not None and saved not in kept:
        raise UsageError(f"saved: {asked.funnels} has no funnel {saved[:60]!r}; it has {', '.join(kept) or 'none'}")
    question = kept[saved] if saved is not None else _question(given)
    found = None if question is None else _answer(asked, saved, question)
    steps = list(question.steps) if saved is not None and question is not None else given["steps"]
    facts: dict[str, object] = {
        "given": given,
        "fields": [*steps, *[""] * max(1, LEAST_STEPS - len(steps))][:MOST_STEPS],
        "offered": offered(asked.warehouse, asked.ladder),
        "properties": COLUMNS,
        "orders": ORDERS,
        "every": EVERY,
        "saved": saved,
        "kept": list(kept),
        "question": question,
        "found": None,
    }
    if question is None or found is None:
        return Page("funnel.html", "Funnels", facts)
    last = max(step.step for step in found.steps if step.step not in question.optional)
    sql = as_sql(question, meaning_of(question, asked.ladder))
    options = _where(asked)
    command = as_command(given, options) if saved is None else as_command({}, ["--saved", saved, *options])
    facts |= {
        "found": found,
        "headline": headline(found),
        "last": last,
        "by": list(found.by.items())[:VALUES_SHOWN],
        "more_values": max(0, len(found.by) - VALUES_SHOWN),
        "edges": list(_EDGES),
        "command": command,
        "sql": sql,
        "again": urlencode(_pairs(given)),
        "csv": f"/funnel.csv?{asked.view.query()}&{urlencode(_pairs(given) if saved is None else {'saved': saved})}",
        "unit_name": question.unit if question.unit in ("visitor", "user", "session") else f"{question.unit} value",
    }
    return Page("funnel.html", "Funnels", facts, charts=_charts(found, last))


def answered(asked: Asked) -> Answer:
    """The answer to the question of an address.  Raises ``UsageError`` where there is none in it."""
    saved, kept = asked.one("saved"), _saved(asked.funnels)
    question = kept.get(saved) if saved is not None else _question(given_of(asked))
    if question is None:
        raise UsageError("steps: choose at least one")
    return _answer(asked, saved, question)


def given_of(asked: Asked) -> dict[str, Any]:
    """What the form holds, as the options of ``ask``; ``unit`` is called per there."""
    given: dict[str, Any] = {name: asked.all(name) for name in MANY}
    given |= {name: asked.one(name) for name in ONE if name != "unit"}
    given["unit"] = asked.one("per") or asked.view.unit
    given["since"], given["until"] = asked.view.since, asked.view.until
    for name in NUMBERS:
        given[name] = [part for text in given[name] for part in text.replace(",", " ").split()]
    if given["by"] is None:
        given["attribution"] = None
    return given


def offered(warehouse: Path, ladder: Ladder) -> list[str]:
    """What a step may be: the places of the ladder, then the events of the warehouse, the most frequent first."""
    marks = {mark for rule in ladder.rules for mark in rule.marks}
    roles = [(role, "" if role == "yes" else f":{role}") for role in ROLES]
    tiers = [
        f"tier:{name}{ending}"
        for tier, name in enumerate(ladder.tiers, start=1)
        for role, ending in roles
        if any(mark.tier == tier and mark.role == role for mark in marks)
    ]
    steps = [
        f"step:{step}{ending}"
        for step in dict.fromkeys(mark.step for mark in sorted(marks, key=lambda mark: (mark.tier, mark.step)))
        for role, ending in roles
        if any(mark.step == step and mark.role == role for mark in marks)
    ]
    return [*tiers, *steps, *_event_names(warehouse, identity_of(warehouse))]


@lru_cache(maxsize=8)
def _event_names(warehouse: Path, identity: object) -> tuple[str, ...]:
    """``identity``: of the marts, so that it is asked once for each of them."""
    with open_marts(warehouse) as marts:
        names = event_names(marts, EVENTS_OFFERED)
    return tuple(f"event:{name}" if name.startswith(("tier:", "step:", "event:")) else name for name in names if name)


def _question(given: Mapping[str, Any]) -> Question | None:
    if not given["steps"]:
        return None
    options = {name: value for name, value in given.items() if value not in (None, "", [])}
    steps = options.pop("steps")
    for name in ("since", "until"):
        if name in options:
            options[name] = _midnight(options[name])
    return ask(steps, **options)


def _answer(asked: Asked, saved: str | None, question: Question) -> Answer:
    kept = None if saved is None else kept_answer(asked.warehouse, asked.ladder, saved, question)
    return kept if kept is not None else answer_question(asked.warehouse, asked.ladder, question)


def _saved(path: Path) -> dict[str, Question]:
    return load_funnels(path) if path.exists() else {}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _where(asked: Asked) -> list[str]:
    options = ["--warehouse", str(asked.warehouse)]
    return options if asked.funnels == Path("funnels.toml") else [*options, "--funnels", str(asked.funnels)]


def _pairs(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [(name, text) for name in MANY for text in given[name]]
    pairs += [(name, given[name]) for name in ONE if given.get(name) and name not in ("unit", "since", "until")]
    return [*pairs, ("per", given["unit"])]


_EDGES = (
    "under 1 s",
    "1 to 10 s",
    "10 s to 1 min",
    "1 to 10 min",
    "10 min to 1 h",
    "1 to 6 h",
    "6 h to 1 d",
    "1 to 7 d",
    "7 d or more",
)
"""The bars of ``EDGES_S`` in words."""


def _charts(found: Answer, last: int) -> dict[str, object]:
    charts: dict[str, object] = {"funnel": {"steps": [_bar(step) for step in found.steps]}}
    if any(sum(step.histogram) for step in found.steps[1:]):
        charts["spread"] = {
            "edges": list(_EDGES),
            "bars": [[step.name, list(step.histogram)] for step in found.steps[1:]],
        }
    if found.trend:
        points = []
        for period in found.trend:
            share = period.steps[last - 1].from_first
            points.append([share.value, share.low, share.high] if period.steps[0].count else None)
        charts["through"] = {
            "kind": "trend",
            "periods": [period.begins.isoformat() for period in found.trend],
            "lines": [["went all the way", points]],
        }
    return charts


def _bar(step: StepResult) -> dict[str, object]:
    return {
        "name": step.name,
        "count": step.count,
        "previous": step.previous,
        "share": list(step.from_previous),
        "of_first": list(step.from_first),
    }
