"""Who takes part in the benchmark of the stream, and how each is started.

Every contender takes the same arguments, BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER, where SESSIONS and RECORDS are
how many there are, FOUND is the file to write sessions to (visitor, first, last, events) and FOLDER is its own; and
says on standard output when it begins and when it has ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peers.workload import cache

from stream.app import OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE
from yesladder import allocator

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_FEW = 10_000
"""So many nobody is spared."""

Command = Callable[[], list[str]]
"""Installs what is needed where it is not there, and says how to start the contender."""


@dataclass(frozen=True)
class Contender:
    """``more``: arguments after the common ones.  ``share``: of the workload, for those that would take too long over
    all.  ``note``: what the reader must know.
    """

    name: str
    command: Command
    more: Callable[[], list[str]] = list
    share: float = 1.0
    finds_sessions: bool = True
    note: str = ""

    def events(self, whole: int) -> int:
        """How many of the workload's events it gets."""
        return max(round(whole * self.share), min(whole, _FEW))


def _ours(script: str) -> list[str]:
    return [sys.executable, "-P", str(HERE / script)]


def python_peer(folder: str) -> list[str]:
    """A peer whose locked packages get an environment of their own, by uv."""
    project = HERE / folder
    environment = cache() / f"{folder}-{_digest(project / 'uv.lock', project / 'pyproject.toml')}"
    if not environment.exists():
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise RuntimeError(f"{folder} needs uv to be installed: pip install uv")
        unfinished = environment.with_name(f"{environment.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        settings = os.environ | {"UV_PROJECT_ENVIRONMENT": str(unfinished), "UV_COMPILE_BYTECODE": "1"}
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        sync = [uv, "sync", "--frozen", "--quiet", "--project", str(project), "--python", python]
        subprocess.run(sync, check=True, env=settings)
        unfinished.rename(environment)
    return [str(environment / "bin" / "python"), "-P", str(project / "sessions.py")]


def java_peer(folder: str, main: str, *options: str) -> list[str]:
    """A peer that Maven builds; its jars and classes are kept."""
    built = maven_build(folder)
    java = f"{os.environ['JAVA_HOME']}/bin/java" if os.environ.get("JAVA_HOME") else "java"
    return [
        java,
        *options,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "-cp",
        f"{built}/classes:{built}/jars/*",
        main,
    ]


def maven_build(folder: str) -> Path:
    """Where the jars (and classes) of a pom are.  Raises ``RuntimeError`` where Maven is missing or fails."""
    project = HERE / folder
    sources = sorted(path for path in project.rglob("*") if path.is_file())
    built = cache() / f"{folder}-{_digest(*sources)}"
    if not built.exists():
        if shutil.which("mvn") is None:
            raise RuntimeError(f"{folder} needs Maven (apt-get install maven)")
        unfinished = built.with_name(f"{built.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        goals = [
            *(["compile"] if (project / "src").exists() else []),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={unfinished / 'jars'}",
        ]
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(project / "pom.xml"), f"-Dbuilt={unfinished}", *goals],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"Maven did not build {folder}: {done.stdout[-3000:]}{done.stderr}")
        unfinished.rename(built)
    return built


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


YESLADDER = Contender("Yesladder", partial(_ours, "yesladder_worker.py"))
FLOOR = Contender("fetch + decode (floor)", partial(_ours, "floor.py"), finds_sessions=False)
LEAN_FLOOR = Contender(
    "fetch + decode, tuned as the worker",
    lambda: ["env", "=".join(allocator.SETTING), *_ours("floor.py")],
    more=lambda: [str(OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE)],
    finds_sessions=False,
)
FAUST = Contender("plain Faust", partial(_ours, "plain_faust.py"), share=0.1)
QUIX = Contender("Quix Streams 3.28.1", partial(python_peer, "quix"), share=0.1)
BYTEWAX = Contender("Bytewax 0.21.1", partial(python_peer, "bytewax"))
KAFKA_STREAMS = Contender("Kafka Streams 4.3.1", partial(java_peer, "kafka_streams", "Sessions"))
_FLINK_OPENS = [  # what Flink's own start script opens to it
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.util.concurrent", "java.time", "java.net", "java.nio")
]
FLINK = Contender("Flink SQL 2.2.0", partial(java_peer, "flink", "Sessions", *_FLINK_OPENS))
SPARK = Contender("Spark 4.1.1", partial(python_peer, "spark"), more=lambda: [str(maven_build("spark") / "jars")])

CONTENDERS = {
    "yesladder": YESLADDER,
    "floor": FLOOR,
    "lean-floor": LEAN_FLOOR,
    "faust": FAUST,
    "quix": QUIX,
    "bytewax": BYTEWAX,
    "kafka-streams": KAFKA_STREAMS,
    "flink": FLINK,
    "spark": SPARK,
}
