"""One built warehouse for all tests of reports, whichever process of a test run comes first: builds take seconds."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.suites.seeded_lake import LADDER, LADDER_FILE, land, seeded_events
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate


def reported_warehouse(gate: Gate, factory: pytest.TempPathFactory) -> Path:
    """Seeded visitors of February 2026, built today; beside the lake stands ``ladder.toml``.  Not to be changed."""
    base = factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    warehouse = shared / "reported warehouse"
    with (shared / "reported.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (warehouse / "ladder.toml").exists():
            lake = Lake(warehouse / "lake")
            land(lake, seeded_events(17, visitors=80))
            build(lake, LADDER, gate=gate, now=datetime.now(UTC))
            (warehouse / "ladder.toml").write_text(LADDER_FILE, encoding="utf-8")
    return warehouse
