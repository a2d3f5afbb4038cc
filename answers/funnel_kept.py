"""Saved funnels kept in the marts: of every unit how far it got, so that a build looks again only at whom it touches.

In the marts' file, schema ``funnels``: ``saved`` says which funnels are kept, by which definition, as of which build
and newest event, and the number N of their tables.  ``steps`` has their answers.  ``owners_N``: who did the events
(visitors, where units are users), by code, and the unit that each belongs to.  ``events_N``: the events that matter to
the funnel, as they are read from the lake.  ``units_N``: the counted attempts, in microseconds since 1970, ``NEVER``
for steps that were not reached; a row for each unit (``in_total``) with its ``value``, or further rows where it counts
in several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from answers.funnel_answer import NEVER, Answer, Counted, PeriodResult, StepResult, Tally, count
from answers.funnel_columns import Columns
from answers.funnel_events import PART_ROWS, PERSONS, Query, events_query, in_parts, landed, read_of
from answers.funnel_question import Question
from answers.funnel_shelf import column_of, numbers_of
from answers.funnel_steps import Meaning, meaning_of
from ladder.errors import UsageError
from ladder.rates import Rate
from ladder.tiers import Ladder
from warehouse.query import open_marts

_VERSION = 1
"""Of these tables; another one makes all of them anew."""

_SAVED = """
    create schema if not exists funnels;
    create table if not exists funnels.saved (
        name varchar, definition varchar, number integer, build integer, landed bigint, newest timestamptz
    );
    create table if not exists funnels.steps (
        funnel varchar, value varchar, period date, is_mature boolean, place integer,
        step integer, name varchar, previous integer, count bigint,
        from_previous double, from_previous_low double, from_previous_high double,
        from_first double, from_first_low double, from_first_high double,
        median_seconds double, mean_seconds double, p90_seconds double, histogram bigint[], in_flight bigint
    );
"""

_STEPS: pa.Schema = pa.schema(
    [("funnel", pa.string()), ("value", pa.string()), ("period", pa.date32()), ("is_mature", pa.bool_())]
    + [("place", pa.int32()), ("step", pa.int32()), ("name", pa.string()), ("previous", pa.int32())]
    + [("count", pa.int64())]
    + [(f"from_{other}{end}", pa.float64()) for other in ("previous", "first") for end in ("", "_low", "_high")]
    + [(f"{which}_seconds", pa.float64()) for which in ("median", "mean", "p90")]
    + [("histogram", pa.list_(pa.int64())), ("in_flight", pa.int64())]
)


@dataclass(frozen=True)
class _Brought:
    """What a build brings.  ``known``: events that were there before, ``new``: that are new.

    ``copies``: some event has landed more than once, ``new_copies``: some of the new ones.  ``displaced``: a new copy
    counts where one that was there before did.
    """

    known: int
    new: int
    has_new_sessions: bool
    copies: bool
    new_copies: bool
    displaced: bool

    @property
    def anything(self) -> bool:
        return self.new > 0 or self.has_new_sessions


class SavedFunnels:
    """The saved funnels of a file, as ``warehouse.build.build`` keeps them in the marts beside its own tables."""

    def __init__(self, questions: Mapping[str, Question], ladder: Ladder) -> None:
        """Raises ``UsageError`` for a funnel with a step that the ladder does not have."""
        self._funnels = {name: (question, _meaning(name, question, ladder)) for name, question in questions.items()}

    def is_due(self, marts: Path) -> bool:
        """Whether the funnels have changed since the build that these marts are of."""
        wanted = {name: definition_of(*funnel) for name, funnel in self._funnels.items()}
        with open_marts(marts.parent) as connection:
            return wanted != _kept_now(connection)

    def renew(self, marts: duckdb.DuckDBPyConnection) -> None:
        """Bring them up to date with the lake as the build sees it, whose row ``meta_builds`` has already."""
        if not self._funnels and not _has_any(marts):
            return
        marts.execute(_SAVED)
        ((build,),) = marts.execute("select max(build) from main.meta_builds").fetchall()
        brought = _look(marts)
        kept = marts.execute("select name, definition, number, build, landed from funnels.saved").fetchall()
        number = max([0, *(one[2] for one in kept)])
        for name, definition, old, of_build, known in kept:
            funnel = self._funnels.get(name)
            is_same = funnel is not None and definition == definition_of(*funnel)
            if not (is_same and of_build == build - 1 and known == brought.known and not brought.displaced):
                for table in ("owners", "events", "units"):
                    marts.execute(f"drop table if exists funnels.{table}_{old}")
                marts.execute("delete from funnels.saved where name = ?", [name])
                marts.execute("delete from funnels.steps where funnel = ?", [name])
        still = dict(marts.execute("select name, number from funnels.saved").fetchall())
        newest = _newest(marts)
        for name, (question, meaning) in self._funnels.items():
            if name in still:
                if brought.anything:
                    tables = _Tables(marts, still[name], question, meaning)
                    tables.add(brought)
                    _publish(marts, name, question, tables, newest)
                continue
            number += 1
            tables = _Tables(marts, number, question, meaning)
            tables.make(brought)
            _publish(marts, name, question, tables, newest)
            saved = [name, definition_of(question, meaning), number]
            marts.execute("insert into funnels.saved values (?, ?, ?, 0, 0, null)", saved)
        now = [build, brought.known + brought.new, newest]
        marts.execute("update funnels.saved set build = ?, landed = ?, newest = ?", now)


def definition_of(question: Question, meaning: Meaning) -> str:
    """Changes whenever the answer may."""
    return sha256(repr((_VERSION, question, meaning)).encode()).hexdigest()[:16]


def kept_answer(
    warehouse: Path, ladder: Ladder, name: str, question: Question, *, listed: int | None = None
) -> Answer | None:
    """The answer that the last build kept; None where it kept none, or one to another question."""
    meaning = meaning_of(question, ladder)
    with open_marts(warehouse, ladder if question.unit == "session" else None) as marts:
        return read_kept(marts, name, question, meaning, listed=listed)


def read_kept(
    marts: duckdb.DuckDBPyConnection, name: str, question: Question, meaning: Meaning, *, listed: int | None = None
) -> Answer | None:
    """The same of marts that are open."""
    if _kept_now(marts).get(name) != definition_of(question, meaning):
        return None
    rows = marts.execute("select * from funnels.steps where funnel = ? order by place, step", [name])
    columns = [column[0] for column in rows.description or ()]
    found = [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]
    units = None if listed is None else _listed(marts, name, listed)
    total: list[StepResult] = []
    by: dict[str, list[StepResult]] = {}
    trend: dict[Any, list[dict[str, Any]]] = {}
    for row in found:
        if row["period"] is not None:
            trend.setdefault(row["period"], []).append(row)
        elif row["value"] is not None:
            by.setdefault(row["value"], []).append(_step(row))
        else:
            total.append(_step(row, units if row["step"] == listed else None))
    return Answer(
        question,
        tuple(total),
        {value: tuple(steps) for value, steps in by.items()},
        tuple(
            PeriodResult(
                period,
                rows[0]["is_mature"],
                tuple(_step(row) for row in rows),
                tuple(row["in_flight"] for row in rows),
            )
            for period, rows in trend.items()
        ),
    )


class _Tables:
    """One funnel's own."""

    def __init__(self, marts: duckdb.DuckDBPyConnection, number: int, question: Question, meaning: Meaning) -> None:
        self._marts = marts
        self._question = question
        self._meaning = meaning
        self._properties = [f"property_{n}" for n in range(len(read_of(question, meaning)[1]))]
        self._owners = f"funnels.owners_{number}"
        self._events = f"funnels.events_{number}"
        self._units = f"funnels.units_{number}"
        self._reached = [f"reached_{step}" for step in range(1, len(question.steps) + 1)]

    def make(self, brought: _Brought) -> None:
        """All of it from the lake."""
        run = self._marts.execute
        events = events_query(self._question, self._meaning, has_copies=brought.copies, persons=False)
        run(
            f"create table {self._owners} as select row_number() over ()::integer as code, unit as owner, unit"
            f" from (select distinct unit from ({events.text}))",
            events.values,
        )
        run(
            f"create table {self._events} as select owners.code as owner, read.* exclude (unit)"
            f" from ({events.text}) as read inner join {self._owners} as owners on owners.owner = read.unit",
            events.values,
        )
        if self._question.unit == "user":
            run(
                f"update {self._owners} set unit = persons.person from ({PERSONS}) as persons"
                " where persons.linked_visitor = owner"
            )
        reached = ", ".join(f"{column} bigint" for column in self._reached)
        run(f"create table {self._units} (unit varchar, value varchar, in_total boolean, {reached})")
        self._count(f"select owners.unit, events.* exclude (owner) {self._joined}", self._size(self._events))

    def add(self, brought: _Brought) -> None:
        """What is new, and all units anew that it touches."""
        run = self._marts.execute
        of_sessions = self._question.unit == "session"
        touched = "intermediate.int_touched_sessions"
        only = (
            f"events.occurred_at >= (select min(started_at) from {touched})"
            f" and events.occurred_at <= (select max(ended_at) from {touched})"
            if of_sessions
            else "events.is_new"
        )
        events = events_query(
            self._question,
            self._meaning,
            has_copies=brought.copies if of_sessions else brought.new_copies,
            only=only,
            sessions=touched if of_sessions else "staging.stg_sessions",
            persons=False,
        )
        run(f"create or replace temp table fresh as {events.text}", events.values)
        owners = f"select session_id from {touched}" if of_sessions else "select distinct unit from fresh"
        run(f"create or replace temp table touched_owners as from ({owners}) as found(owner)")
        run(
            f"insert into {self._owners}"
            f" select (select coalesce(max(code), 0) from {self._owners}) + row_number() over (), unit, unit"
            f" from (select distinct unit from fresh) where unit not in (select owner from {self._owners})"
        )
        if of_sessions:
            gone = f"select code from {self._owners} where owner in (select owner from touched_owners)"
            run(f"delete from {self._events} where owner in ({gone})")
        run(
            f"insert into {self._events} select owners.code, fresh.* exclude (unit)"
            f" from fresh inner join {self._owners} as owners on owners.owner = fresh.unit"
        )
        run(
            f"create or replace temp table touched_units as select unit from {self._owners}"
            " where owner in (select owner from touched_owners)"
        )
        if self._question.unit == "user":
            self._move()
        run(f"delete from {self._units} where unit in (select unit from touched_units)")
        run(
            f"create or replace temp table again as select owners.unit, events.* exclude (owner) {self._joined}"
            " where owners.unit in (select unit from touched_units)"
        )
        self._count("from again", self._size("again"))
        for table in ("fresh", "again", "touched_owners", "touched_units", "moved"):
            run(f"drop table if exists temp.{table}")

    def read(self) -> Counted:
        """All units' counted attempts."""
        columns = [*(["value"] if self._question.by is not None else []), *self._reached]
        rows = self._marts.sql(
            f"select in_total::tinyint as in_total, {', '.join(columns)} from {self._units}"
        ).to_arrow_table()
        reached = np.stack([_plain(rows[column]) for column in self._reached], axis=1)
        total = np.flatnonzero(_plain(rows["in_total"]))
        if self._question.by is None:
            nobody = np.zeros(0, np.int64)
            return Counted(reached[total], [], reached[:0], [], nobody, [])
        values = rows["value"].combine_chunks().dictionary_encode()
        codes = numbers_of(values.indices.fill_null(-1))
        of_value = np.flatnonzero(codes >= 0)
        labels = values.dictionary.to_pylist()
        return Counted(reached[total], [], reached[of_value], [], codes[of_value].astype(np.int64), labels)

    @property
    def _joined(self) -> str:
        return f"from {self._events} as events inner join {self._owners} as owners on owners.code = events.owner"

    def _move(self) -> None:
        """Visitors to the users whom they belong to now; both are touched, whom they leave and whom they join."""
        run = self._marts.execute
        run(
            "create or replace temp table moved as select owners.owner, owners.unit as former, persons.person"
            f" from {self._owners} as owners inner join ({PERSONS}) as persons on persons.linked_visitor = owners.owner"
            " where persons.person <> owners.unit"
        )
        run(f"update {self._owners} set unit = moved.person from moved where moved.owner = {self._owners}.owner")
        run("insert into touched_units select former from moved union select person from moved")

    def _count(self, events: str, rows: int) -> None:
        """Count the units of so many events, into the table of units."""
        parts = in_parts(self._marts, Query(events), self._question, self._meaning, parts=-(-rows // PART_ROWS))
        for part in parts:
            for counted in self._counted(part):
                self._marts.register("counted", counted)
                self._marts.execute(f"insert into {self._units} select * from counted")
                self._marts.unregister("counted")

    def _size(self, table: str) -> int:
        ((rows,),) = self._marts.execute(f"select count(*) from {table}").fetchall()
        return int(rows)

    def _counted(self, part: Columns) -> Iterator[pa.Table]:
        found = count(part, self._question, self._meaning)
        values = [found.labels[code] for code in found.by_value.tolist()]
        if self._question.attribution == "all" or not values:
            yield self._rows(found.ids, [None] * len(found.ids), True, found.reached)
        if values:
            yield self._rows(found.by_ids, values, self._question.attribution != "all", found.by_reached)

    def _rows(self, units: Sequence[str], values: Sequence[str | None], in_total: bool, reached: Any) -> pa.Table:
        columns = [
            pa.array(units, pa.string()),
            pa.array(values, pa.string()),
            pa.array([in_total] * len(units), pa.bool_()),
            *(column_of(reached[:, step]) for step in range(reached.shape[1])),
        ]
        return pa.Table.from_arrays(columns, ["unit", "value", "in_total", *self._reached])


def _meaning(name: str, question: Question, ladder: Ladder) -> Meaning:
    try:
        return meaning_of(question, ladder)
    except UsageError as error:
        raise UsageError(f"saved funnel {name!r}: {error}") from None


def _look(marts: duckdb.DuckDBPyConnection) -> _Brought:
    def one(query: str) -> Any:
        ((value,),) = marts.execute(query).fetchall()
        return value

    known, new = landed(marts)
    new_copies = one(
        "select exists(select 1 from staging.stg_new_event_ids"
        " where event_id in (select event_id from staging.stg_event_copies))"
    )
    displaced = new_copies and one(
        "select exists(select 1 from staging.stg_events where is_new"
        " and event_id in (select event_id from staging.stg_event_copies)"
        " and event_id in (select event_id from lake.events where not is_new))"
    )
    return _Brought(
        known,
        new,
        one(
            "select exists(select 1 from lake.events where is_new) or exists(select 1 from lake.sessions where is_new)"
        ),
        one("select exists(select 1 from staging.stg_event_copies)"),
        new_copies,
        displaced,
    )


def _kept_now(marts: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The definitions of the funnels that are as new as the marts, by name."""
    if not _has_any(marts):
        return {}
    newest = "select max(build) from main.meta_builds"
    return dict(marts.execute(f"select name, definition from funnels.saved where build = ({newest})").fetchall())


def _has_any(marts: duckdb.DuckDBPyConnection) -> bool:
    tables = "select 1 from duckdb_tables() where database_name = current_database() and schema_name = 'funnels'"
    return bool(marts.execute(tables).fetchall())


def _listed(marts: duckdb.DuckDBPyConnection, name: str, step: int) -> tuple[str, ...]:
    ((number,),) = marts.execute("select number from funnels.saved where name = ?", [name]).fetchall()
    query = f"select unit from funnels.units_{number} where in_total and reached_{step} <> ?"
    return tuple(sorted(unit for (unit,) in marts.execute(query, [NEVER]).fetchall()))


def _newest(marts: duckdb.DuckDBPyConnection) -> datetime | None:
    """When the last of all events happened; where a funnel is up to date with the known ones only new ones are read."""
    found = marts.execute("select newest from funnels.saved limit 1").fetchall()
    of = "where is_new" if found else ""
    found += marts.execute(f"select max(occurred_at) from lake.events {of}").fetchall()
    return max((at for (at,) in found if at is not None), default=None)


def _publish(
    marts: duckdb.DuckDBPyConnection, name: str, question: Question, tables: _Tables, newest: datetime | None
) -> None:
    """The funnel's rows of ``steps``."""
    tally = Tally(question, as_of=newest or datetime(1970, 1, 1, tzinfo=UTC))
    tally.add(tables.read())
    found = tally.answer()
    rows = [_row(name, 0, step) for step in found.steps]
    for place, (value, steps) in enumerate(found.by.items(), start=1):
        rows += [_row(name, place, step, value=value) for step in steps]
    for place, period in enumerate(found.trend, start=1):
        rows += [
            _row(name, place, step, period=period.begins, is_mature=period.is_mature, in_flight=on_their_way)
            for step, on_their_way in zip(period.steps, period.in_flight, strict=True)
        ]
    marts.execute("delete from funnels.steps where funnel = ?", [name])
    marts.register("answered", pa.Table.from_pylist(rows, schema=_STEPS))
    marts.execute("insert into funnels.steps select * from answered")
    marts.unregister("answered")


def _row(funnel: str, place: int, step: StepResult, **more: Any) -> dict[str, Any]:
    own = {"funnel": funnel, "place": place, "previous": step.previous, "histogram": list(step.histogram)}
    return own | step.row() | more


def _step(row: Mapping[str, Any], units: tuple[str, ...] | None = None) -> StepResult:
    def rate(of: str) -> Rate:
        return Rate(row[of], row[f"{of}_low"], row[f"{of}_high"])

    return StepResult(
        row["step"],
        row["name"],
        row["count"],
        row["previous"],
        rate("from_previous"),
        rate("from_first"),
        row["median_seconds"],
        row["mean_seconds"],
        row["p90_seconds"],
        tuple(row["histogram"]),
        units,
    )


def _plain(column: pa.ChunkedArray) -> Any:
    return np.concatenate([numbers_of(chunk) for chunk in column.chunks] or [np.zeros(0, np.int64)])
