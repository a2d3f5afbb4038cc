"""Sessions and the tier table in SQL: DuckDB and ClickHouse (chdb), each in its own words.

Arguments: WHAT HISTORY FOUND TIERS FOLDER of the batch contenders (peers/batch.py), after the engine's name.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import duckdb
from peers.running import BEGUN, ENDED, WRITTEN
from peers.tiers import ASKS, YESES, write_table
from peers.workload import GAP_MS


def _per_session(first: str, last: str) -> str:
    """The columns of a session that tiers are counted from.  ``first``, ``last``: aggregates over NAME."""
    return ", ".join(
        f"{first.replace('NAME', ask)} as ask{tier}, {last.replace('NAME', yes)} as yes{tier}"
        for tier, (ask, yes) in enumerate(zip(ASKS, YESES, strict=True))
    )


def _tiers(is_there: str, count: str) -> str:
    columns = []
    for tier in range(len(ASKS)):
        ask, yes = is_there.format(f"ask{tier}"), is_there.format(f"yes{tier}")
        next_yes = is_there.format(f"yes{tier + 1}") if tier + 1 < len(ASKS) else "false"
        conditions = (
            ask, f"{ask} and {yes} and yes{tier} >= ask{tier}", f"{ask} and not ({yes} and yes{tier} >= ask{tier})",
            f"{yes} and not {ask}", yes, f"{yes} and {next_yes}",
        )  # fmt: skip
        columns += [count.format(condition) for condition in conditions]
    return ", ".join(columns)


def run_duckdb(what: str, history: str, found: str, tiers: str, folder: str) -> None:
    connection = duckdb.connect(f"{folder}/batch.duckdb")
    connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
    of_tiers = _per_session("min(ms) filter (name = 'NAME')", "max(ms) filter (name = 'NAME')")
    connection.execute(
        f"""
        create table sessions as
        with events as (
            select visitor_id, epoch_ms(occurred_at::timestamptz) as ms, name
            from read_ndjson(?, columns = {{visitor_id: 'varchar', occurred_at: 'varchar', name: 'varchar'}})
        ),
        begun as (
            select *, coalesce(ms - (lag(ms) over visits) > {GAP_MS}, true) as begins
            from events
            window visits as (partition by visitor_id order by ms)
        ),
        numbered as (
            select *, sum(begins::int) over (
                partition by visitor_id order by ms rows between unbounded preceding and current row
            ) as session
            from begun
        )
        select visitor_id, min(ms) as first, max(ms) as last, count(*) as events, {of_tiers}
        from numbered
        group by visitor_id, session
        """,
        [history],
    )
    if what == "tiers":
        (row,) = connection.execute(
            f"select {_tiers('({} is not null)', 'count(*) filter ({})')} from sessions"
        ).fetchall()
        _write_tiers(tiers, row)
    print(ENDED, flush=True)
    connection.execute(f"copy (select visitor_id, first, last, events from sessions) to '{found}' (header false)")


def run_clickhouse(what: str, history: str, found: str, tiers: str, folder: str) -> None:
    session = import_module("chdb.session").Session(f"{folder}/clickhouse")
    of_tiers = _per_session("minIf(at, name = 'NAME')", "maxIf(at, name = 'NAME')")
    session.query("create database batch")
    session.query(
        f"""
        create table batch.sessions engine = MergeTree order by (visitor_id, first) as
        with
        events as (
            select visitor_id, toUnixTimestamp64Milli(parseDateTime64BestEffort(occurred_at, 3, 'UTC')) as at, name
            from file('{history}', JSONEachRow, 'visitor_id String, occurred_at String, name LowCardinality(String)')
        ),
        begun as (
            select *, at - lagInFrame(at, 1, toInt64(-{10**15})) over (
                partition by visitor_id order by at rows between unbounded preceding and current row
            ) > {GAP_MS} as begins
            from events
        ),
        numbered as (
            select *, sum(begins) over (
                partition by visitor_id order by at rows between unbounded preceding and current row
            ) as session
            from begun
        )
        select visitor_id, min(at) as first, max(at) as last, count() as events, {of_tiers}
        from numbered
        group by visitor_id, session
        """
    )
    if what == "tiers":
        answer = session.query(f"select {_tiers('({} != 0)', 'countIf({})')} from batch.sessions", "JSONCompact")
        _write_tiers(tiers, [int(value) for value in json.loads(str(answer))["data"][0]])
    print(ENDED, flush=True)
    session.query(
        f"insert into function file('{found}', CSV, 'visitor_id String, first Int64, last Int64, events UInt64')"
        " select visitor_id, first, last, events from batch.sessions"
        " settings format_csv_delimiter = ',', output_format_csv_crlf_end_of_line = 0"
    )
    Path(found).write_text(Path(found).read_text(encoding="utf-8").replace('"', ""), encoding="utf-8")


def _write_tiers(path: str, row: list[int] | tuple[int, ...]) -> None:
    width = len(row) // len(ASKS)
    write_table(Path(path), [list(row[tier * width : (tier + 1) * width]) for tier in range(len(ASKS))])


if __name__ == "__main__":
    print(BEGUN, flush=True)
    {"duckdb": run_duckdb, "clickhouse": run_clickhouse}[sys.argv[1]](*sys.argv[2:])
    print(WRITTEN, flush=True)
