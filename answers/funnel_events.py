"""The events of a warehouse for a funnel: as the marts see them, each once, and no more columns and days than it takes.

What is read is `stg_events` of the last build: of several copies of one event the first to arrive, and nothing that the
quality gate holds back.  Events that came late count like any other, but in sessions, which have them once they are
repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

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

_Number = TypeVar("_Number", np.int32, np.int64)
_OWN = "events.properties"
ARRIVAL = ("received_at", "source", "source_partition", "record_offset")
"""The order of arrival, most of which is in the first: the others are read only where that does not decide."""


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

        def read(part: int, arrival: Sequence[str]) -> pa.Table:
            query = _query(question, meaning, names, properties, arrival, part, parts)
            return marts.sql(query.text, params=query.values).to_arrow_table()

        for part in range(parts):
            table = read(part, ARRIVAL[:1])
            if table.num_rows == 0:
                continue
            try:
                yield _columns(table, names, properties, ARRIVAL[:1])
            except _Undecided:
                yield _columns(read(part, ARRIVAL), names, properties, ARRIVAL)


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
    question: Question,
    meaning: Meaning,
    names: Sequence[str],
    properties: Sequence[str],
    arrival: Sequence[str],
    part: int,
    parts: int,
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
        f" (coalesce(list_position(?::varchar[], name), 0) - 1)::integer as name_code, {', '.join(arrival)}{selected}"
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


class _Undecided(Exception):
    """Events of one unit and instant whose order the columns at hand do not tell."""


def _columns(table: pa.Table, names: Sequence[str], properties: Sequence[str], arrival: Sequence[str]) -> Columns:
    units = table["unit"].dictionary_encode().combine_chunks()
    unit = _numbers(units.indices, np.int32)
    time = _numbers(table["time"], np.int64)
    order, is_decided = order_of(unit, time, {name: table[name] for name in arrival})
    if not is_decided and len(arrival) < len(ARRIVAL):
        raise _Undecided
    return Columns(
        unit[order].astype(np.int64),
        units.dictionary.to_pylist(),
        time[order],
        Coded(_numbers(table["name_code"], np.int32)[order], names),
        {
            name: _coded(table[f"property_{number}"], order, is_json=name not in COLUMNS)
            for number, name in enumerate(properties)
        },
    )


def order_of(unit: npt.NDArray[np.int32], time: Ints, arrival: Mapping[str, pa.ChunkedArray]) -> tuple[Ints, bool]:
    """The rows, unit after unit, each by time and arrival; and whether that tells all of them apart.

    ``arrival``: the first columns of ``ARRIVAL``.  Events lie about in the order of time already, which the first sort
    likes; numpy sorts 16 bits by their radix.
    """
    order = np.argsort(time, kind="stable")
    order = order[np.argsort(unit[order].astype(np.uint16), kind="stable")]
    if unit.max() >= 1 << 16:
        order = order[np.argsort((unit[order] >> 16).astype(np.uint16), kind="stable")]
    same = (np.diff(unit[order]) == 0) & (np.diff(time[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied) == 0:
        return np.asarray(order, np.int64), True
    rows = order[tied]
    keys = [_sortable(column, name)[rows] for name, column in arrival.items()]
    keys = [unit[rows].astype(np.int64), time[rows], *keys]
    wanted = np.lexsort(keys[::-1])
    order[tied] = rows[wanted]
    alike = [np.diff(key[wanted]) == 0 for key in keys]
    return np.asarray(order, np.int64), not np.logical_and.reduce(alike).any()


def _sortable(column: pa.ChunkedArray, name: str) -> Ints:
    """Numbers in the order of a column of ``ARRIVAL``."""
    if name == "source":
        coded = column.dictionary_encode().combine_chunks()
        texts = coded.dictionary.to_pylist()
        ranks = np.array([sorted(texts).index(text) for text in texts], np.int64)
        return np.asarray(ranks[_numbers(coded.indices, np.int32)], np.int64)
    if name == "source_partition":
        return _numbers(column, np.int32).astype(np.int64)
    return _numbers(column, np.int64)


def _numbers(column: pa.ChunkedArray | pa.Array, kind: type[_Number]) -> npt.NDArray[_Number]:
    """A column without nulls as it lies in memory: pyarrow's own way takes a second to import pandas first."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.frombuffer(array.buffers()[1], kind)[array.offset : array.offset + len(array)]


def _coded(column: pa.ChunkedArray, order: Ints, *, is_json: bool) -> Coded:
    array = column.dictionary_encode().combine_chunks()
    codes = _numbers(array.indices.fill_null(-1), np.int32)[order]
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
