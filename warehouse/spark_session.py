"""Spark in this process, and the lake as its tables: the schema ``lake`` over an explicit list of files."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ladder.errors import UsageError
from ladder.tables import TABLES
from ladder.tiers import Ladder
from warehouse.views import step_rows, tier_rows

OLDEST_JAVA = 17

_TYPES: dict[pa.DataType, str] = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}

_TIERS = (
    "ladder string, tier smallint, name string, next_tier smallint, has_ask boolean, has_yes boolean,"
    " conversion_window_us bigint, stage string"
)
_STEPS = "ladder string, tier smallint, step string, has_reward boolean, has_cheer boolean"

_GLOB = re.compile(r"[\\\[\]{}?*,]")


class SparkMissingError(UsageError):
    """Spark cannot be started on this machine; the message says what to install."""


@dataclass(frozen=True)
class Spark:
    """How to build on Spark.

    ``conf``: settings of its own, over ours.  ``java_home``: without it, Java of the PATH.  ``unit_tests``: run dbt's
    unit tests as well.
    """

    conf: Mapping[str, str]
    java_home: Path | None = None
    unit_tests: bool = False


def check_spark(spark: Spark) -> None:
    """Raises ``SparkMissingError`` where PySpark, dbt's adapter for it or Java is missing or too old."""
    for module in ("pyspark", "dbt.adapters.spark"):
        if importlib.util.find_spec(module) is None:
            raise SparkMissingError(
                f"to build on Spark, {module} is needed: pip install 'yesladder[spark]' (and Java {OLDEST_JAVA})"
            )
    home = spark.java_home
    java = shutil.which("java", path=None if home is None else str(home / "bin"))
    if java is None:
        where = "on the PATH" if home is None else f"in JAVA_HOME, {home}"
        raise SparkMissingError(f"to build on Spark, Java {OLDEST_JAVA} or newer is needed; there is none {where}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise SparkMissingError(
            f"to build on Spark, Java {OLDEST_JAVA} or newer is needed; {java} is {version[1] if version else 'none'}"
        )


@contextmanager
def spark_session(folder: Path, log: Path, spark: Spark) -> Iterator[Any]:
    """A session whose tables lie in ``folder``, one folder per schema, as Parquet; they are forgotten at the end.

    Spark talks into the file ``log``.  One session per process at a time.
    Raises ``SparkMissingError``, and ``UsageError`` for settings that Spark refuses.
    """
    check_spark(spark)
    taken_for = _GLOB.search(str(folder).replace(",", ""))
    if taken_for is not None:
        # Spark takes its own tables' paths for patterns, too, and has no way to say that they are none.
        raise UsageError(f"Spark cannot build in a folder with {taken_for[0]} in its path, as in {folder}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions of pandas, which is not used here
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession

        # Every error that is raised is printed there as well, with the whole of Java's stack.
        PySparkLogger.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
        fixed = _fixed(folder)
        taken = sorted(fixed.keys() & spark.conf.keys())
        if taken:
            raise UsageError(f"Spark's setting {taken[0]} is one that a build needs as it is: leave it out")
        builder = SparkSession.builder
        for key, value in {**_DEFAULTS, **spark.conf, **fixed}.items():
            builder = builder.config(key, value)
        try:
            with _stderr_in(log):
                session = builder.getOrCreate()
        except Exception as error:
            raise UsageError(f"Spark does not start: {str(error).splitlines()[0]} (more in {log})") from error
    try:
        yield session
    finally:
        # Of a Java that has died this would raise, too, and what it died of would not be told.
        with suppress(Exception):
            session.stop()


def create_lake_tables(session: Any, root: Path, files: Mapping[str, Collection[str]], ladder: Ladder) -> None:
    """Create ``lake.events``, ``lake.sessions``, ... of these files, and the ladder's tables beside them.

    Files are paths relative to ``root``, the lake's folder.  Every row has ``is_new``.
    """
    for schema in ("lake", "lake_files"):
        session.sql(f"create schema {schema}")
    for name, schema in TABLES.items():
        if not files[name]:
            nulls = ", ".join(f"cast(null as {spark_type(field.type)}) as `{field.name}`" for field in schema)
            session.sql(f"create view lake.{name} as select {nulls}, true as is_new where false")
            continue
        columns = ", ".join(f"`{field.name}` {spark_type(field.type)}" for field in schema)
        # Spark takes one path per table; Hadoop resolves the braces, and looks for each file by its name.
        paths = ",".join(_escaped(file) for file in sorted(files[name]))
        session.sql(
            f"create table lake_files.{name} ({columns}) using parquet options"
            f" (path {_literal(f'{_escaped(str(root))}/{{{paths}}}')}, basePath {_literal(str(root / name))})"
        )
        session.sql(f"create view lake.{name} as select *, true as is_new from lake_files.{name}")
    _create_rows(session, "ladder_tiers", _TIERS, tier_rows(ladder))
    _create_rows(session, "ladder_steps", _STEPS, step_rows(ladder))


def spark_type(arrow: pa.DataType) -> str:
    """The Spark type that a lake column reads back as."""
    if pa.types.is_list(arrow):
        return f"array<{spark_type(arrow.value_type)}>"
    if pa.types.is_struct(arrow):
        return f"struct<{', '.join(f'{field.name}: {spark_type(field.type)}' for field in arrow)}>"
    return _TYPES[arrow]


_DEFAULTS = {
    "spark.master": "local[*]",
    "spark.app.name": "yesladder",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
}


def _fixed(folder: Path) -> dict[str, str]:
    """What the marts' being right hangs on."""
    return {
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.legacy.createHiveTableByDefault": "false",
        "spark.sql.sources.default": "parquet",
        "spark.sql.warehouse.dir": str(folder),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.ansi.enabled": "true",
    }


def _create_rows(session: Any, name: str, columns: str, rows: list[Any]) -> None:
    """A view of rows that are given."""
    fields = [field.strip().split(" ") for field in columns.split(",")]
    casts = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in fields)
    names = ", ".join(column for column, _ in fields)
    values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows or [(None,) * len(fields)])
    nothing = "" if rows else " where false"
    session.sql(f"create view lake.{name} as select {casts} from values {values} as given ({names}){nothing}")


def _literal(value: str | int | bool | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        return f"'{escaped}'"
    return "null" if value is None else str(value).lower()


def _escaped(path: str) -> str:
    return _GLOB.sub(lambda found: "\\" + found[0], path)


@contextmanager
def _stderr_in(log: Path) -> Iterator[None]:
    """What is started meanwhile has this file as its stderr for good."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
