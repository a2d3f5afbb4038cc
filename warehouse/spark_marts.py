"""The marts built on Spark, and brought into the DuckDB file that everything reads.

Spark's tables are only a way there: they lie in the folder of the build and go with it, so that there is one place to
read from, to erase people from and to build upon, whichever engine built it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb

from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.dbt_runs import OnNode, dbt_build, dbt_build_on_spark, stored_tables
from warehouse.spark_session import Spark, create_lake_tables, spark_session
from warehouse.views import create_lake_views


def build_on_spark(
    marts: Path,
    work: Path,
    root: Path,
    files: Mapping[str, Collection[str]],
    ladder: Ladder,
    *,
    spark: Spark,
    on_node: OnNode | None = None,
) -> list[str]:
    """Build all models from scratch, and run the data tests, on Spark; returns the warnings.

    ``marts``: a DuckDB file with the schema ``lake`` of these ``files`` of the lake ``root``; afterwards it holds what
    a full build on DuckDB would have left, but for the order of rows.  ``work`` takes dbt's and Spark's own files.
    Raises ``DbtError`` and ``SparkMissingError``.
    """
    folder = marts.parent / "spark"
    with spark_session(folder, work / "spark" / "spark.log", spark) as session:
        create_lake_tables(session, root, files, ladder)
        warnings = dbt_build_on_spark(work / "spark", unit_tests=spark.unit_tests, on_node=on_node)
    _make_empty(marts, work, root, files)
    _fill(marts, folder)
    shutil.rmtree(folder)
    return warnings


def _make_empty(marts: Path, work: Path, root: Path, files: Mapping[str, Collection[str]]) -> None:
    """All tables and views, made by dbt of no rows: so the contracts' types and constraints hold there, too."""
    nothing: Mapping[str, Collection[str]] = dict.fromkeys(TABLES, ())
    _view(marts, root, nothing)
    dbt_build(marts, work, full=True, tests=False)
    _view(marts, root, files)


def _view(marts: Path, root: Path, files: Mapping[str, Collection[str]]) -> None:
    connection = duckdb.connect(str(marts))
    try:
        create_lake_views(connection, root, dict.fromkeys(TABLES, ()), files)
    finally:
        connection.close()


def _fill(marts: Path, folder: Path) -> None:
    connection = duckdb.connect(str(marts))
    try:
        connection.execute("set timezone = 'UTC'")
        for schema, name in stored_tables():
            # Some tables have rows of the ladder alone.
            connection.execute(f"truncate {schema}.{name}")
            files = (folder / f"{schema}.db" / name).iterdir()
            parts = sorted(str(file) for file in files if file.suffix == ".parquet")
            if parts:
                connection.execute(f"insert into {schema}.{name} by name select * from read_parquet(?)", [parts])
    finally:
        connection.close()
