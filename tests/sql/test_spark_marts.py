"""The SQL on Spark: from one lake, both engines' marts row for row."""

from __future__ import annotations

import random
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from ladder.errors import UsageError
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events, session_rows
from warehouse.build import BuildResult, build
from warehouse.built import BUILDING
from warehouse.dbt_runs import project_folder
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.spark_session import Spark, spark_session

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

SMALL = Spark(
    {
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": "2",
        # Spark compiles each query, and Java what Spark makes of it: for a thousand rows that is most of the time.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    },
    unit_tests=True,
)
VIEWS = ("main.fct_marks", "main.fct_time_quantiles")
"""Marts that both engines keep as views: in the file they are DuckDB's, so Spark is asked for its own meanwhile."""

Rows = list[tuple[Any, ...]]


class Built:
    """One lake, built by DuckDB, then by Spark.  ``seen``: the rows of Spark's own views; ``done``: what dbt ran."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.lake = Lake(folder / "Ann's, ware house" / "lake")
        self.marts = self.lake.root.parent / "marts.duckdb"
        self.gate = gate
        self.seen: dict[str, Rows] = {}
        self.done: set[str] = set()
        land_much(self.lake)
        build(self.lake, LADDER, gate=gate, now=NOW)
        self.by_duckdb = contents(self.marts)
        self.duckdbs = Path(shutil.copyfile(self.marts, folder / "duckdb.duckdb"))
        self.result: BuildResult = build(
            self.lake, LADDER, full=True, gate=gate, now=NOW, spark=SMALL, progress=self._look
        )
        self.by_spark = contents(self.marts)

    def _look(self, words: str) -> None:
        from pyspark.sql import SparkSession

        self.done.add(words.partition(" ")[0])
        name = f"main.{words.partition(' ')[0]}"
        if name in VIEWS and name not in self.seen:
            rows = SparkSession.builder.getOrCreate().sql(f"select * from {name}").collect()
            self.seen[name] = [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def built(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("both"), gate)


def land_much(lake: Lake) -> None:
    """Weeks of sessions in several commits and days; late events; copies with other times and visitors, and files."""
    chance = random.Random(7)
    events = seeded_events(7, visitors=40, most=30)
    copies = [
        msgspec.structs.replace(
            event,
            received_at=event.received_at + timedelta(days=chance.choice([0, 3])),
            visitor_id=chance.choice([event.visitor_id, "visitor-other"]),
        )
        for event in chance.sample(events, 40)
    ]
    first = [event for event in events if int(event.visitor_id.rpartition("-")[2]) % 3]
    land(lake, first)
    land(lake, [event for event in events if event not in first], first=10_000, now=NOW + timedelta(days=1))
    lake.append("events", event_rows(copies[:20], source="a", late=True), now=NOW + timedelta(days=2))
    lake.append("events", event_rows(copies[20:], source="b"), now=NOW + timedelta(days=2))
    lake.append("sessions", session_rows(copies[20:], source="b"), now=NOW + timedelta(days=2))
    lake.append("sessions", session_rows(events, source="a file again").slice(10, 20), now=NOW + timedelta(days=2))


def contents(marts: Path) -> dict[str, Rows]:
    """Every table and view but those of the lake and of builds, its rows in the order of all columns."""
    connection = duckdb.connect(str(marts), read_only=True)
    try:
        connection.execute("set timezone = 'UTC'")
        names = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            " where table_schema in ('main', 'staging', 'intermediate') and table_name not like 'meta%'"
        ).fetchall()
        return {name: connection.execute(f"select * from {name} order by all").fetchall() for (name,) in names}
    finally:
        connection.close()


def columns(marts: Path) -> Rows:
    connection = duckdb.connect(str(marts), read_only=True)
    try:
        return connection.execute(
            "select table_schema, table_name, column_name, data_type, is_nullable from information_schema.columns"
            " order by all"
        ).fetchall()
    finally:
        connection.close()


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9 * max(1.0, abs(one))
    return bool(one == other)


def differing(one: Rows, other: Rows) -> Rows:
    """Pairs of rows that are not the same, floats within 1e-9."""
    pairs = zip(one, other, strict=True)
    return [(left, right) for left, right in pairs if not all(map(close, left, right))]


def test_spark_gives_row_for_row_what_duckdb_gives(built: Built) -> None:
    assert (built.result.built, built.result.full) == (True, True)
    assert set(built.by_spark) == set(built.by_duckdb)
    for name, rows in built.by_duckdb.items():
        assert len(built.by_spark[name]) == len(rows), name
        assert differing(rows, built.by_spark[name]) == [], name
    for name in ("fct_tier_dropoff", "fct_asks", "fct_leaps", "fct_times", "fct_after_yes", "fct_starts", "fct_gives"):
        assert len(built.by_duckdb[f"main.{name}"]) > 100, name
    for name in ("intermediate.int_repeated_events", "staging.stg_event_copies", "staging.stg_session_copies"):
        assert len(built.by_duckdb[name]) > 5, name


def test_sparks_own_views_hold_the_same_rows(built: Built) -> None:
    for name in VIEWS:
        own = [tuple(utc(value) for value in row) for row in built.seen[name]]
        there = sorted(built.by_duckdb[name], key=by_all)
        assert len(own) == len(there) > 100
        assert differing(there, sorted(own, key=by_all)) == [], name


def test_dbts_tests_run_on_spark_but_those_of_duckdbs_own_sql_and_of_builds_by_differences(built: Built) -> None:
    documents = [path.read_text() for path in (project_folder() / "models").rglob("*_unit_tests.yml")]
    units = [unit for document in documents for unit in re.split(r"^  - name: ", document, flags=re.MULTILINE)[1:]]
    duckdbs = {unit.partition("\n")[0] for unit in units if "format: sql" in unit or "input: this" in unit}
    assert built.done >= {unit.partition("\n")[0] for unit in units} - duckdbs
    assert not built.done & duckdbs
    assert len(units) - len(duckdbs) >= 20
    assert {"no_event_is_in_two_sessions", "fct_tier_dropoff_answers_add_up"} <= built.done


def test_the_file_has_the_types_and_constraints_that_duckdb_gives_it(built: Built) -> None:
    assert columns(built.marts) == columns(built.duckdbs)


def test_nothing_of_sparks_is_left_in_the_warehouse(built: Built) -> None:
    assert not (built.lake.root.parent / BUILDING).exists()
    outside = [path for path in built.lake.root.parent.rglob("*.parquet") if built.lake.root not in path.parents]
    assert outside == []


def test_duckdb_goes_on_by_differences_from_what_spark_left(built: Built) -> None:
    land(built.lake, seeded_events(8, visitors=10, prefix="m"), first=50_000, now=NOW + timedelta(days=3))
    result = build(built.lake, LADDER, gate=built.gate, now=NOW + timedelta(days=3))
    assert (result.built, result.full) == (True, False)
    step_by_step = contents(built.marts)
    build(built.lake, LADDER, gate=built.gate, full=True, now=NOW + timedelta(days=3))
    at_once = contents(built.marts)
    marts = [name for name in at_once if name.startswith("main.")]
    assert len(marts) > 15
    for name in marts:
        assert differing(at_once[name], step_by_step[name]) == [], name


@pytest.mark.parametrize("setting", ["spark.sql.session.timeZone", "spark.sql.warehouse.dir"])
def test_a_setting_that_the_marts_hang_on_is_not_to_be_changed(built: Built, setting: str) -> None:
    before = built.marts.read_bytes()
    with pytest.raises(UsageError, match=f"Spark's setting {setting} is one that a build needs as it is"):
        build(built.lake, LADDER, full=True, gate=built.gate, now=NOW, spark=Spark({setting: "elsewhere"}))
    assert built.marts.read_bytes() == before


def test_a_folder_that_spark_would_take_for_a_pattern_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"Spark cannot build in a folder with \{ in its path"),
        spark_session(tmp_path / "{a}" / "spark", tmp_path / "spark.log", SMALL),
    ):
        pass


def utc(value: Any) -> Any:
    """Spark hands out times without a zone, in that of the machine."""
    return value.astimezone() if isinstance(value, datetime) else value


def by_all(row: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value) for value in row)
