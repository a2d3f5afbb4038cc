"""The events of a warehouse for a funnel: as the marts see them, each once, and no more columns and days than it takes.

What is read is `stg_events` of the last build: of several copies of one event the first to arrive, and nothing that the
quality gate holds back.  Events that came late count like any other, but in sessions, which have them once they are
repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from answers.funnel_columns import Columns
from answers.funnel_conditions import Coded
from answers.funnel_question import Question
from answers.funnel_steps import JSON, Meaning, properties_of
from ladder.durations import in_microseconds
from ladder.tiers import Ladder
from warehouse.query import open_marts

COLUMNS = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class", "user_id")
"""Properties that are columns of the contract; all others are the event's own."""

PART_ROWS = 4_000_000
"""About how many events are in memory at a time."""

_OWN = "events.properties"
_ARRIVAL = ("received_at", "source", "source_partition", "record_offset")

_PERSONS = """
    select visitor_id as linked_visitor, user_id as person
    from intermediate.int_identity_links
    qualify row_number() over (partition by visitor_id order by first_linked_at, user_id) = 1
"""
"""The user whom a visitor was linked to first, as `dim_visitors` names them first."""

_SESSIONS = """
    select distinct places.session_id, places.session_visitor, places.session_event
    from (
        select
            session_id,
            visitor_id as session_visitor,
            unnest(list_transform(sequence, lambda entry: entry.event_id)) as session_event
        from staging.stg_sessions
    ) as places
    where not exists (
        select 1
        from intermediate.int_repeated_events as repeated
        where repeated.session_id = places.session_id and repeated.event_id = places.session_event
    )
"""


@dataclass(frozen=True)
class _Query:
    text: str
    values: tuple[Any, ...] = ()


def read_parts(
    warehouse: Path, ladder: Ladder, question: Question, meaning: Meaning, *, part_rows: int = PART_ROWS
) -> Iterator[Columns]:
    """The events in parts; all events of a unit are in one part.

    Raises ``UsageError`` where nothing was built yet, and for sessions that another ladder cut.
    """
    with open_marts(warehouse, ladder if question.unit == "session" else None) as marts:
        ((rows,),) = marts.execute("select count(*) from lake.events").fetchall()
        parts = max(1, -(-rows // part_rows))
        properties = sorted(properties_of(question, meaning))
        for part in range(parts):
            query = _query(question, meaning, properties, part, parts)
            table = marts.sql(query.text, params=query.values).to_arrow_table()
            if table.num_rows > 0:
                yield _columns(table, properties)


def _query(question: Question, meaning: Meaning, properties: Sequence[str], part: int, parts: int) -> _Query:
    unit = _unit(question.unit)
    columns = [_property(name) for name in properties]
    values: list[Any] = [*unit.values]
    values += [value for column in columns for value in column.values]
    conditions: list[str] = ["unit is not null"]
    if meaning.names is not None and question.order != "strict":
        conditions.append("name in (select unnest(?::varchar[]))")
        values.append(sorted(meaning.names))
    if not question.first_ever and not question.first_matching:
        if question.since is not None:
            conditions.append("occurred_at >= ?")
            values.append(question.since)
        if question.until is not None:
            conditions.append("occurred_at <= ?::timestamptz + to_microseconds(?)")
            values += [question.until, in_microseconds(question.window)]
    if parts > 1:
        conditions.append("hash(unit) % ? = ?")
        values += [parts, part]
    source = "staging.stg_events as events"
    if question.unit == "user":
        source += f" left join ({_PERSONS}) as persons on persons.linked_visitor = events.visitor_id"
    if question.unit == "session":
        source += (
            f" inner join ({_SESSIONS}) as places"
            " on places.session_event = events.event_id and places.session_visitor = events.visitor_id"
        )
    selected = "".join(f", {column.text} as property_{number}" for number, column in enumerate(columns))
    return _Query(
        f"select {unit.text} as unit, epoch_us(occurred_at) as time, name, {', '.join(_ARRIVAL)}{selected}"
        f" from {source} where {' and '.join(conditions)}",
        tuple(values),
    )


def _unit(unit: str) -> _Query:
    if unit == "visitor":
        return _Query("events.visitor_id")
    if unit == "user":
        return _Query("coalesce(persons.person, events.visitor_id)")
    if unit == "session":
        return _Query("places.session_id")
    if unit in COLUMNS:
        return _Query(f"events.{unit}")
    return _Query(f"case when json_valid({_OWN}) then json_extract_string({_OWN}, ?) end", (_pointer(unit),))


def _property(name: str) -> _Query:
    """Columns are text, properties are JSON."""
    if name in COLUMNS:
        return _Query(f"events.{name}")
    return _Query(f"case when json_valid({_OWN}) then json_extract({_OWN}, ?)::varchar end", (_pointer(name),))


def _pointer(name: str) -> str:
    return "/" + name.removeprefix(JSON).replace("~", "~0").replace("/", "~1")


def _columns(table: pa.Table, properties: Sequence[str]) -> Columns:
    frame = pl.DataFrame(table).sort("unit", "time", *_ARRIVAL)
    changes = frame["unit"] != frame["unit"].shift(1)
    begins = changes.fill_null(True)
    return Columns(
        begins.cast(pl.Int64).cum_sum().to_numpy() - 1,
        frame["unit"].filter(begins).to_list(),
        frame["time"].to_numpy(),
        _coded(frame["name"], is_json=False),
        {
            name: _coded(frame[f"property_{number}"], is_json=name not in COLUMNS)
            for number, name in enumerate(properties)
        },
    )


def _coded(column: pl.Series, *, is_json: bool) -> Coded:
    array = column.to_arrow().dictionary_encode()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    texts = array.dictionary.to_pylist()
    if not is_json:
        return Coded(codes, texts)
    values = [_decoded(text) for text in texts]
    absent = np.array([value is None for value in values] + [True], np.bool_)
    return Coded(np.where(absent[codes], -1, codes).astype(np.int32), values)


def _decoded(text: str) -> object:
    """The value of JSON text; None for null and for what nobody can hold, such as a number of a thousand digits."""
    with suppress(msgspec.DecodeError, RecursionError):
        return msgspec.json.decode(text)
    return None
