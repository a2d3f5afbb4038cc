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
from typing import Any, cast

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from answers.funnel_columns import Columns
from answers.funnel_conditions import Coded
from answers.funnel_order import Ordered, in_order
from answers.funnel_question import Question
from answers.funnel_shelf import Shelf, column_of, numbers_of
from answers.funnel_steps import JSON, Meaning, properties_of
from answers.funnel_stream import Ints
from ladder.durations import in_microseconds
from ladder.tiers import Ladder
from warehouse.query import open_marts

COLUMNS = ("page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "device_class", "user_id")
"""Properties that are columns of the contract; all others are the event's own."""

PART_ROWS = 300_000
"""Of the lake's events in a part: its columns find room in the processor's caches."""

MOST_BYTES = 1 << 30
"""Of events in memory; a file has what is beyond it."""

_MOST_PARTS = 256
_BATCH_ROWS = 500_000
_FURTHEST = 2**31 - 1
"""An arrival that many microseconds after its event, or more, does not decide."""

_OWN = "events.properties"
ARRIVAL = ("received_at", "source", "source_partition", "record_offset")
"""The order of arrival, most of which is in the first: the others are read only where that does not decide."""


PERSONS = """
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
        from {sessions}
    ) as places
    where not exists (
        select 1
        from intermediate.int_repeated_events as repeated
        where repeated.session_id = places.session_id and repeated.event_id = places.session_event
    )
"""


@dataclass(frozen=True)
class Query:
    """One statement and its parameters."""

    text: str
    values: tuple[Any, ...] = ()


def read_parts(
    warehouse: Path,
    ladder: Ladder,
    question: Question,
    meaning: Meaning,
    *,
    with_ids: bool = True,
    part_rows: int = PART_ROWS,
    most_bytes: int = MOST_BYTES,
) -> Iterator[Columns]:
    """The events in parts; all events of a unit are in one part.

    ``with_ids``: with the names of the units, which cost time.  ``part_rows``: about how many there are in a part.
    ``most_bytes``: about how much is held in memory before it goes to a file.
    Raises ``UsageError`` where nothing was built yet, and for sessions that another ladder cut.
    """
    with open_marts(warehouse, ladder if question.unit == "session" else None) as marts:
        ((copies,),) = marts.execute("select count(*) from staging.stg_event_copies").fetchall()
        found = events_query(question, meaning, has_copies=copies > 0)
        parts = -(-sum(landed(marts)) // part_rows)
        yield from in_parts(marts, found, question, meaning, parts=parts, with_ids=with_ids, most_bytes=most_bytes)


def in_parts(
    marts: duckdb.DuckDBPyConnection,
    events: Query,
    question: Question,
    meaning: Meaning,
    *,
    parts: int,
    with_ids: bool = True,
    most_bytes: int = MOST_BYTES,
) -> Iterator[Columns]:
    """The rows of a query with the columns of ``events_query``, put in order.

    Units with events that the first column of ``ARRIVAL`` does not tell apart are read once more, with all of them.
    """
    parts = min(max(parts, 1), _MOST_PARTS)
    asked = read_of(question, meaning)
    again: list[int] = []
    left = 0
    for part in _read(marts, events, ARRIVAL[:1], asked, parts, most_bytes, with_ids=with_ids):
        ordered = _ordered(part, ARRIVAL[:1])
        if len(ordered.undecided):
            units = np.unique(part["unit_hash"][ordered.undecided])
            again += units.tolist()
            rows = np.flatnonzero(~np.isin(part["unit_hash"], units))
            left += len(part["time"]) - len(rows)
            if len(rows) == 0:
                continue
            part = _some(part, rows)
            ordered = _ordered(part, ARRIVAL[:1])
        yield _columns(part, ordered, asked, with_ids=with_ids)
    if again:
        those = f"select * from ({events.text}) where hash(unit) in (select unnest(?::ubigint[]))"
        undecided = Query(those, (*events.values, again))
        parts = min(-(-left // PART_ROWS), _MOST_PARTS)
        for part in _read(marts, undecided, ARRIVAL, asked, parts, most_bytes, with_ids=with_ids):
            yield _columns(part, _ordered(part, ARRIVAL), asked, with_ids=with_ids)


def _read(
    marts: duckdb.DuckDBPyConnection,
    events: Query,
    arrival: Sequence[str],
    asked: tuple[Sequence[str], Sequence[str]],
    parts: int,
    most_bytes: int,
    *,
    with_ids: bool,
) -> Iterator[dict[str, Any]]:
    """The columns of each part that has rows."""
    wanted = ["time", "name_code", *arrival, *(f"property_{number}" for number in range(len(asked[1])))]
    rows = marts.sql(
        "select hash(unit) as unit_hash, hash(unit || '#') as unit_check,"
        f" {'unit, ' if with_ids else ''}{', '.join(wanted)} from ({events.text})",
        params=events.values,
    )
    shelf = Shelf(parts, most_bytes)
    for batch in rows.to_arrow_reader(_BATCH_ROWS):
        _lay(shelf, batch, parts)
    return shelf.take_up()


def read_of(question: Question, meaning: Meaning) -> tuple[list[str], list[str]]:
    """The names of events and the properties that are read, in the order in which columns and codes have them."""
    return sorted(meaning.known_names), sorted(properties_of(question, meaning))


def landed(marts: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many events, copies among them, were there before the last build, and how many are new to it."""
    # Asked for all of them at once, DuckDB would read a column.
    rows = dict(marts.execute("select is_new, count(*) from lake.events group by is_new").fetchall())
    return rows.get(False, 0), rows.get(True, 0)


def known_until(warehouse: Path) -> datetime | None:
    """The time of the newest event that the marts have; None where there is none."""
    with open_marts(warehouse) as marts:
        ((newest,),) = marts.execute("select max(occurred_at) from lake.events").fetchall()
    return cast("datetime | None", newest)


def _reads_all(question: Question, meaning: Meaning) -> bool:
    return meaning.any_name or question.order == "strict"


def events_query(
    question: Question,
    meaning: Meaning,
    *,
    has_copies: bool,
    only: str = "true",
    sessions: str = "staging.stg_sessions",
    persons: bool = True,
) -> Query:
    """The events that matter: unit, time, name_code (-1: of no name that is meant), ``ARRIVAL`` and property_0, ...

    ``has_copies``: some event landed more than once; where none did the lake has the same rows and spares looking for
    copies.  ``only``: a condition on ``events``.  ``sessions``: the relation that has them.  ``persons``: units are
    users where the question wants them, else their visitors.
    """
    names, properties = read_of(question, meaning)
    unit = _unit(question.unit if persons or question.unit != "user" else "visitor")
    columns = [_property(name) for name in properties]
    values: list[Any] = [*names, *unit.values]
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
    source = "staging.stg_events" if has_copies else "(select *, partition as source_partition from lake.events)"
    source += " as events"
    if question.unit == "user" and persons:
        source += f" left join ({PERSONS}) as persons on persons.linked_visitor = events.visitor_id"
    if question.unit == "session":
        source += (
            f" inner join ({_SESSIONS.format(sessions=sessions)}) as places"
            " on places.session_event = events.event_id and places.session_visitor = events.visitor_id"
        )
    selected = "".join(f", {column.text} as property_{number}" for number, column in enumerate(columns))
    kind = "tinyint" if len(names) < 128 else "integer"
    whens = " ".join(f"when ? then {code}" for code in range(len(names))) or "when null then -1"
    outer = "".join(f", property_{number}" for number in range(len(columns)))
    return Query(
        f"select unit, occurred_at as time, name_code, {', '.join(ARRIVAL)}{outer}"
        f" from (select occurred_at, {', '.join(ARRIVAL)},"
        f" (case name {whens} else -1 end)::{kind} as name_code, {unit.text} as unit{selected}"
        f" from {source} where {only}) where {' and '.join(conditions)}",
        tuple(values),
    )


def _unit(unit: str) -> Query:
    if unit == "visitor":
        return Query("events.visitor_id")
    if unit == "user":
        return Query("coalesce(persons.person, events.visitor_id)")
    if unit == "session":
        return Query("places.session_id")
    if unit in COLUMNS:
        return Query(f"events.{unit}")
    return Query(f"case when json_valid({_OWN}) then json_extract_string({_OWN}, ?) end", (_pointer(unit),))


def _property(name: str) -> Query:
    """Columns are text, properties are JSON."""
    if name in COLUMNS:
        return Query(f"events.{name}")
    return Query(f"case when json_valid({_OWN}) then json_extract({_OWN}, ?)::varchar end", (_pointer(name),))


def _pointer(name: str) -> str:
    return "/" + name.removeprefix(JSON).replace("~", "~0").replace("/", "~1")


def _lay(shelf: Shelf, batch: pa.RecordBatch, parts: int) -> None:
    """Put the batch by, its numbers as short as they may be."""
    hashes = numbers_of(batch["unit_hash"])
    time = numbers_of(batch["time"])
    lag = numbers_of(batch["received_at"]) - time
    np.clip(lag, -_FURTHEST, _FURTHEST, out=lag)
    shorter = {"unit_check": column_of((numbers_of(batch["unit_check"]) >> np.uint64(32)).astype(np.uint32))}
    if "source" not in batch.schema.names:
        shorter["received_at"] = column_of(lag.astype(np.int32))
    columns = [shorter.get(name, batch[name]) for name in batch.schema.names]
    laid = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    part = ((hashes >> np.uint64(48)) * np.uint64(parts) >> np.uint64(16)).astype(np.uint16)
    shelf.lay(laid, part)


def _ordered(part: Mapping[str, Any], arrival: Sequence[str]) -> Ordered:
    arrived = {name: _ranks(part[name]) if name == "source" else part[name] for name in arrival}
    return in_order(part["unit_hash"], part["unit_check"], part["time"], arrived)


def _some(part: Mapping[str, Any], rows: Ints) -> dict[str, Any]:
    return {
        name: column[rows] if isinstance(column, np.ndarray) else column.take(column_of(rows))
        for name, column in part.items()
    }


def _ranks(texts: pa.Array) -> Ints:
    """Numbers in the order of texts."""
    coded = texts.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    place = {text: rank for rank, text in enumerate(sorted(distinct))}
    ranks = np.array([place[text] for text in distinct], np.int64)
    return np.asarray(ranks[numbers_of(coded.indices)], np.int64)


def _columns(
    part: Mapping[str, Any], ordered: Ordered, asked: tuple[Sequence[str], Sequence[str]], *, with_ids: bool
) -> Columns:
    names, properties = asked
    order = ordered.order
    first = order[np.flatnonzero(np.diff(ordered.unit, prepend=-1))]
    return Columns(
        ordered.unit,
        part["unit"].take(column_of(first)).to_pylist() if with_ids else [],
        ordered.time,
        Coded(part["name_code"][order], names),
        {
            name: _coded(part[f"property_{number}"], order, is_json=name not in COLUMNS)
            for number, name in enumerate(properties)
        },
    )


def _coded(column: pa.Array, order: Ints, *, is_json: bool) -> Coded:
    array = column.dictionary_encode()
    codes = numbers_of(array.indices.fill_null(-1))[order]
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
