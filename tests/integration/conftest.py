"""Each data set goes through the demo once, for all tests that ask what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.suites.command_line import YESLADDER, environment, run_json

OFFLINE = Path(__file__).parents[1] / "suites" / "offline.py"


@dataclass(frozen=True)
class Demo:
    """``folder``: its warehouse.  ``result``: what it printed with ``--json``."""

    dataset: str
    folder: Path
    result: dict[str, Any]


@dataclass(frozen=True)
class Watched:
    """What ran without a network, and who asked for one (``tests/suites/offline.py``)."""

    demo: Demo
    report: dict[str, Any]


@pytest.fixture(scope="session")
def moodle(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return _demo("moodle_edify", tmp_path_factory.mktemp("moodle"))


@pytest.fixture(scope="session")
def otto(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """In an awkward folder, on a machine that is set up for production elsewhere."""
    elsewhere = {
        "brokers": "kafka.invalid:9092",
        "topic": "clicks",
        "security_protocol": "SASL_SSL",
        "write_keys": "secret",
        "max_reject_run": "1",
        "checkpoint_events": "1",
        "warehouse": "/nowhere",
        "ladder": "/nowhere.toml",
    }
    folder = tmp_path_factory.mktemp("otto") / "Ä folder [with] 'quotes' & 5% spaces"
    folder.mkdir()
    return _demo("otto_mini", folder, elsewhere)


@pytest.fixture(scope="session")
def snowplow(watched: Watched) -> Demo:
    return watched.demo


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The demo of snowplow_web and then every command that looks at what it left."""
    folder = tmp_path_factory.mktemp("snowplow")
    data = folder / "demo-data"
    where = ["--warehouse", str(data), "--ladder", str(data / "ladder.toml")]
    commands = [
        ["demo", "--dataset", "snowplow_web", "--dir", str(data), "--json"],
        ["build", "--full", *where],
        ["tiers", *where],
        ["report", *where],
        ["sql", "select count(*) from fct_sessions", "--warehouse", str(data)],
        ["doctor", *where],
    ]
    subprocess.run(
        [sys.executable, str(OFFLINE), str(folder)],
        input=json.dumps([[*YESLADDER, *command] for command in commands]),
        cwd=folder,
        env=environment(),
        text=True,
        timeout=280,
        check=True,
    )
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for command, done in zip(commands, report["commands"], strict=True):
        assert done["code"] == 0, (command, done["err"])
    return Watched(Demo("snowplow_web", data, json.loads(report["commands"][0]["out"])), report)


def _demo(dataset: str, folder: Path, settings: Mapping[str, str] | None = None) -> Demo:
    data = folder / "demo-data"
    return Demo(dataset, data, run_json("demo", "--dataset", dataset, "--dir", data, cwd=folder, settings=settings))
