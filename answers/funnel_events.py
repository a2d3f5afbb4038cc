"""The events of a warehouse for a funnel: as the marts see them, each once, and no more columns and days than it takes.

What is read is `stg_events` of the last build: of several copies of one event the first to arrive, and nothing that the
quality gate holds back.  Events that came late count like any other, but in sessions, which have them once they are
repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from answers.funnel_columns import Columns
from answers.funnel_conditions import Coded
from answers.funnel_question import Question
from answers.funnel_steps import JSON, Meaning, properties_of
from answers.funnel_stream import Ints
from ladder.durations import in_microseconds
from ladder.tiers import Ladder
from warehouse.query import open_marts

COLUMNS = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class", "user_id")
"""Properties that are columns of the contract; all others are the event's own."""

PART_ROWS = 16_000_000
"""About how many events are in memory at a time."""

_OWN = "events.properties"
_ARRIVAL = ["received_at", "source", "source_partition", "record_offset"]

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
        properties = sorted(properties_of(question, meaning))
        names = sorted(meaning.known_names)
        parts = max(1, -(-_rows(marts, question, meaning, names) // part_rows))
        for part in range(parts):
            query = _query(question, meaning, names, properties, part, parts)
            table = marts.sql(query.text, params=query.values).to_arrow_table()
            if table.num_rows > 0:
                yield _columns(table, names, properties)


def known_until(warehouse: Path) -> datetime | None:
    """The time of the newest event that the marts have; None where there is none."""
    with open_marts(warehouse) as marts:
        ((newest,),) = marts.execute("select max(occurred_at) from lake.events").fetchall()
    return cast("datetime | None", newest)


def _rows(marts: duckdb.DuckDBPyConnection, question: Question, meaning: Meaning, names: Sequence[str]) -> int:
    """About how many events there are to read: copies and dates are not looked at."""
    if _reads_all(question, meaning):
        ((rows,),) = marts.execute("select count(*) from lake.events").fetchall()
    else:
        counted = "select count(*) from lake.events where name in (select unnest(?::varchar[]))"
        ((rows,),) = marts.execute(counted, [names]).fetchall()
    return int(rows)


def _reads_all(question: Question, meaning: Meaning) -> bool:
    return meaning.any_name or question.order == "strict"


def _query(
    question: Question, meaning: Meaning, names: Sequence[str], properties: Sequence[str], part: int, parts: int
) -> _Query:
    unit = _unit(question.unit)
    columns = [_property(name) for name in properties]
    values: list[Any] = [*unit.values, names]
    values += [value for column in columns for value in column.values]
    conditions: list[str] = ["unit is not null"]
    if not _reads_all(question, meaning):
        conditions.append("name_code >= 0")
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
        f"select {unit.text} as unit, epoch_us(occurred_at) as time,"
        f" (coalesce(list_position(?::varchar[], name), 0) - 1)::integer as name_code, {', '.join(_ARRIVAL)}{selected}"
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


def _columns(table: pa.Table, names: Sequence[str], properties: Sequence[str]) -> Columns:
    units = table["unit"].dictionary_encode().combine_chunks()
    unit = units.indices.to_numpy().astype(np.int64)
    time = table["time"].to_numpy()
    order = order_of(table, unit, time)
    return Columns(
        unit[order],
        units.dictionary.to_pylist(),
        time[order],
        Coded(table["name_code"].to_numpy()[order], names),
        {
            name: _coded(table[f"property_{number}"], order, is_json=name not in COLUMNS)
            for number, name in enumerate(properties)
        },
    )


def order_of(table: pa.Table, unit: Ints, time: Ints) -> Ints:
    """The rows, unit after unit, each by time and arrival (columns of ``table``).

    Events lie about in the order of time already, which the first sort likes; numpy sorts 16 bits by their radix.
    """
    order = np.argsort(time, kind="stable")
    order = order[np.argsort(unit[order].astype(np.uint16), kind="stable")]
    if unit.max() >= 1 << 16:
        order = order[np.argsort((unit[order] >> 16).astype(np.uint16), kind="stable")]
    same = (np.diff(unit[order]) == 0) & (np.diff(time[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied) == 0:
        return np.asarray(order, np.int64)
    rows = order[tied]
    among = table.select(_ARRIVAL).take(pa.array(rows)).append_column("unit", pa.array(unit[rows]))
    among = among.append_column("time", pa.array(time[rows]))
    wanted = pc.sort_indices(among, [(name, "ascending") for name in ("unit", "time", *_ARRIVAL)])
    order[tied] = rows[wanted.to_numpy()]
    return np.asarray(order, np.int64)


def _coded(column: pa.ChunkedArray, order: Ints, *, is_json: bool) -> Coded:
    array = column.dictionary_encode().combine_chunks()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)[order]
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
