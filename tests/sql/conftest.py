from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a warehouse of its own; a space in its path, as people have."""
    return Lake(tmp_path / "ware house" / "lake")
