"""What the documents say is what the software does."""

from __future__ import annotations

from pathlib import Path

import pytest

from yesladder.documentation import pages

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(pages()))
def test_a_generated_page_is_up_to_date(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == pages()[page], "run `make docs`"


@pytest.mark.parametrize("how", ["html", "md", "pdf"])
def test_the_example_reports_are_linked_and_whole(how: str) -> None:
    """`make example` writes them; their numbers are compared in tests/integration/test_whole_road.py."""
    name = f"examples/report-moodle-edify.{how}"
    assert f"({name})" in (DOCS / "reports.md").read_text(encoding="utf-8")
    begins = {"html": b"<!doctype html>", "md": b"# moodle_edify: where people drop off, April 2018", "pdf": b"%PDF-"}
    assert (DOCS / name).read_bytes().startswith(begins[how])
