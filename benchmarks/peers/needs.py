"""What the benchmarks need beyond the locked packages, told before they start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

LEAST_JAVA = 17
WORDS = (
    "The benchmarks run every contender in turn, an hour or so. They need Java 17 and Maven (Apache Kafka, Kafka"
    " Streams, Flink, Spark) and uv (Quix Streams, Bytewax, Spark in environments of their own); the first time they"
    " download about 1 GB."
)


def missing() -> Iterator[str]:
    """What is not there, and how to get it."""
    java = _java_version()
    if java is None or java < LEAST_JAVA:
        found = "none was found" if java is None else f"Java {java} was found"
        yield f"Java {LEAST_JAVA} or newer: {found} (apt-get install openjdk-17-jdk-headless)"
    if shutil.which("mvn") is None:
        yield "Maven (apt-get install maven)"
    if shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") is None:
        yield "uv (pip install uv)"
    for package, how in (("chdb", "--group peers"), ("pyspark", "--extra spark"), ("confluent_kafka", "--group dev")):
        if find_spec(package) is None:
            yield f"the package {package} (uv sync {how})"


def check() -> None:
    """Say what is needed; ends the process with 2 where something is missing."""
    print(WORDS, flush=True)
    if lacks := list(missing()):
        print("\n".join(["Missing:", *(f"- {what}" for what in lacks)]), file=sys.stderr)
        raise SystemExit(2)


def _java_version() -> int | None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java" if home else "java")
    if java is None:
        return None
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found.group(1)) if found else None
