from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse.lake import Lake
from warehouse.quality import Gate


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """One quality gate for all builds: it takes seconds to load."""
    with Gate() as loaded:
        yield loaded


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a warehouse of its own; a space in its path, as people have."""
    return Lake(tmp_path / "ware house" / "lake")
