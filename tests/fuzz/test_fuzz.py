"""What strangers write: a little of `make fuzz` in every run, and everything that it has ever found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.fuzz.targets import TARGETS

FINDINGS = sorted((Path(__file__).parent / "findings").glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_taken_or_refused(name: str) -> None:
    target = TARGETS[name]

    @settings(deadline=None, max_examples=150)
    @given(st.binary(min_size=1, max_size=200))
    def whatever(data: bytes) -> None:
        target(data)

    whatever()


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_is_not_found_again(finding: Path) -> None:
    TARGETS[finding.parent.name](finding.read_bytes())
