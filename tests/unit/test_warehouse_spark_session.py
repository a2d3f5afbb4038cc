from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.spark_session import Spark, SparkMissingError, check_spark


def java(folder: Path, version: str) -> Path:
    """A Java that only says its version."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return folder


def test_without_pyspark_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    with pytest.raises(SparkMissingError, match=r"pyspark is needed: pip install 'yesladder\[spark\]'"):
        check_spark(Spark({}))


@pytest.mark.spark
def test_without_java_it_is_said_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SparkMissingError, match=f"Java 17 or newer is needed; there is none in JAVA_HOME, {tmp_path}"):
        check_spark(Spark({}, tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SparkMissingError, match="there is none on the PATH"):
        check_spark(Spark({}))


@pytest.mark.spark
def test_java_may_be_too_old(tmp_path: Path) -> None:
    for version in ("1.8.0_402", "11.0.22"):
        with pytest.raises(SparkMissingError, match=r"Java 17 or newer is needed; .*/bin/java is (8|11)"):
            check_spark(Spark({}, java(tmp_path / version, version)))
    check_spark(Spark({}, java(tmp_path / "17", "17.0.15")))
    check_spark(Spark({}, java(tmp_path / "26", "26-ea")))


@pytest.mark.spark
@pytest.mark.long
@pytest.mark.timeout(600)
def test_where_java_dies_what_went_wrong_is_told_and_not_that_it_cannot_be_stopped(tmp_path: Path) -> None:
    """In a process of its own: PySpark starts no other Java in the same one."""
    program = """
import sys
from pathlib import Path
from ladder.errors import YesladderError
from warehouse.spark_session import Spark, spark_session

folder = Path(sys.argv[1])
conf = {"spark.master": "local[1]", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
try:
    with spark_session(folder / "spark", folder / "spark.log", Spark(conf)) as session:
        java = session.sparkContext._gateway.proc
        java.kill()
        java.wait()
        raise YesladderError("the model failed")
except YesladderError as error:
    print("told:", error)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["told: the model failed"], done.stderr
