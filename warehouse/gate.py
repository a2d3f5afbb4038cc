"""The quality gate's own process: Great Expectations over one batch after the other.

A process apart, because Great Expectations takes seconds to import (here beside dbt's own start), talks on stdout and
wants SQLAlchemy's DuckDB connections for itself.  ``quality.Gate`` starts it; each line on stdin is a job, each line on
stdout its verdict, both JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import duckdb

from warehouse import data_docs
from warehouse.built import BUILDING
from warehouse.expectations import Expectation, batch_view, expectations
from warehouse.garbage import uncollected
from warehouse.imports import needed_later, not_needed

SAMPLE = 5
"""Rows shown per failure."""


def main() -> None:
    """Answer jobs ``{"batch", "root", "ladder", "tiers", "files", "known", "pages"}`` until stdin ends."""
    answers = _own_stdout()
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    with uncollected():
        # PySpark is imported whole where it is installed, and ends a process whose program has no file.
        not_needed("pyspark", "boto3", "botocore")
        needed_later("altair", "scipy.stats")
        import great_expectations as gx

    for line in sys.stdin:
        job = json.loads(line)
        building = Path(job["root"]).parent / BUILDING
        building.mkdir(exist_ok=True)
        with TemporaryDirectory(prefix="gate-", dir=building) as folder:
            database = Path(folder) / "batch.duckdb"
            rows, failures = _load(database, job)
            if rows:
                failures += _validate(gx, database, list(rows), job)
        data_docs.write_batch_index(Path(job["pages"]), job["batch"], rows, failures)
        print(json.dumps({"rows": rows, "failures": failures}), file=answers, flush=True)
    os._exit(0)  # all is written; taking thousands of modules down one by one would take most of a second


def _own_stdout() -> TextIO:
    """Keep stdout for answers; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _load(database: Path, job: dict[str, Any]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """What the expectations look at, one table each: they are many, and reading Parquet for each of them is slow.

    Returns the rows of each, and a failure for each table whose files cannot be read.
    """
    connection = duckdb.connect(str(database))
    connection.execute("pragma force_compression = 'uncompressed'")
    connection.execute("set preserve_insertion_order = false")
    rows: dict[str, int] = {}
    unreadable: list[dict[str, Any]] = []
    try:
        for table, files in job["files"].items():
            known = job["known"].get(table, [])
            view = batch_view(table, Path(job["root"]), files, known, job["ladder"], job["tiers"])
            try:
                ((rows[table],),) = connection.execute(f"create table {table} as {view}").fetchall()
            except duckdb.Error as error:
                said = " ".join(str(error).replace(f"{job['root']}/", "").split())
                unreadable.append(
                    {"table": table, "expectation": "its files can be read", "rows": 0, "of": 0, "sample": []}
                    | {"error": said[:500]}
                )
    finally:
        connection.close()
    return rows, unreadable


def _validate(gx: Any, database: Path, tables: list[str], job: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one checkpoint over the tables, write its pages, return what failed."""
    from warehouse import duckdb_dialect

    duckdb_dialect.register()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    for site in list(context.variables.data_docs_sites):
        context.delete_data_docs_site(site)
    pages = Path(job["pages"])
    context.add_data_docs_site("batch", data_docs.site(pages))
    source = context.data_sources.add_sql("lake", connection_string=f"{duckdb_dialect.DRIVER}:///{database}")
    definitions = []
    for table in tables:
        rules = [_expectation(gx, rule) for rule in expectations(table, job["tiers"])]
        suite = context.suites.add(gx.ExpectationSuite(name=table, expectations=rules))
        batch = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("landed")
        definitions.append(
            context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
        )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="landed",
            validation_definitions=definitions,
            actions=[gx.checkpoint.UpdateDataDocsAction(name="pages")],
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": SAMPLE,
                "unexpected_index_column_names": ["file", "row_id"],
            },
        )
    )
    outcome = checkpoint.run()
    data_docs.make_offline(pages)
    return [
        _failure(result.suite_name, one, job["root"])
        for result in outcome.run_results.values()
        for one in result.results
        if not one.success
    ]


def _expectation(gx: Any, rule: Expectation) -> Any:
    return getattr(gx.expectations, rule.kind)(**rule.arguments, description=rule.says)


def _failure(table: str, one: Any, root: str) -> dict[str, Any]:
    """What failed, in the shape of ``batches.Failure``."""
    problem = one.exception_info or {}
    if not problem.get("raised_exception", bool(problem)):
        problem = {}
    sample = one.result.get("partial_unexpected_index_list") or []
    return {
        "table": table,
        "expectation": one.expectation_config.description,
        "rows": one.result.get("unexpected_count", 0),
        "of": one.result.get("element_count", 0),
        "sample": [{key: str(value).removeprefix(f"{root}/") for key, value in row.items()} for row in sample[:SAMPLE]],
        "error": str(problem)[:1000] if problem else "",
    }


if __name__ == "__main__":
    main()
