"""What the documents say is what the software does."""

from __future__ import annotations

from pathlib import Path

import pytest

from yesladder.documentation import pages

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(pages()))
def test_a_generated_page_is_up_to_date(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == pages()[page], "run `make docs`"
