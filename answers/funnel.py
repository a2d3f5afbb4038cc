"""Funnels over a warehouse: the door for Python callers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from answers.funnel_answer import Answer, answer
from answers.funnel_events import known_until, read_parts
from answers.funnel_question import Question, ask
from answers.funnel_steps import meaning_of
from ladder.tiers import Ladder

_NUMBER = pa.float64()
SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("value", pa.string()),
        pa.field("step", pa.int16(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("from_previous", _NUMBER, nullable=False),
        pa.field("from_previous_low", _NUMBER, nullable=False),
        pa.field("from_previous_high", _NUMBER, nullable=False),
        pa.field("from_first", _NUMBER, nullable=False),
        pa.field("from_first_low", _NUMBER, nullable=False),
        pa.field("from_first_high", _NUMBER, nullable=False),
        pa.field("median_seconds", _NUMBER),
        pa.field("mean_seconds", _NUMBER),
        pa.field("p90_seconds", _NUMBER),
    ]
)
"""One row per step, first those of all units (``value`` null), then those of each value of ``by``."""


def funnel(warehouse: Path, ladder: Ladder, steps: list[str], **options: Any) -> pa.Table:
    """The answer as a table of ``SCHEMA``.  ``options``: those of ``answers.funnel_question.ask``."""
    return table_of(answer_question(warehouse, ladder, ask(steps, **options)))


def answer_question(warehouse: Path, ladder: Ladder, question: Question, *, listed: int | None = None) -> Answer:
    """The answer from the marts as the last build left them.

    ``listed``: the step whose units' ids are wanted.  Raises ``UsageError`` where nothing was built yet, for steps that
    the ladder does not have, and for sessions that another ladder cut.
    """
    meaning = meaning_of(question, ladder)
    as_of = None if question.trend is None else known_until(warehouse) or datetime(1970, 1, 1, tzinfo=UTC)
    parts = read_parts(warehouse, ladder, question, meaning, with_ids=listed is not None)
    return answer(parts, question, meaning, listed=listed, as_of=as_of)


def table_of(found: Answer) -> pa.Table:
    """An answer as a table of ``SCHEMA``."""
    rows = [{"value": None} | step.row() for step in found.steps]
    rows += [{"value": value} | step.row() for value, steps in found.by.items() for step in steps]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
