from __future__ import annotations

import csv
import io

import pytest

from answers.csv_text import as_csv


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "\n=1", "  =1+1", "\uff1d1", '=HYPERLINK("http://x";"y")'],
)
def test_text_that_would_be_a_formula_stays_text(formula: str) -> None:
    (_, (cell,)) = csv.reader(io.StringIO(as_csv(["a"], [[formula]]), newline=""))
    assert cell == f"'{formula}"


def test_all_else_comes_back_as_it_was() -> None:
    rows: list[list[object]] = [["a,b", 'say "x"', "two\nlines", None, -1.5, 0, "<b>", "w" * 10_000]]
    (head, found) = csv.reader(io.StringIO(as_csv(list("abcdefgh"), rows), newline=""))
    assert head == list("abcdefgh")
    assert found == ["a,b", 'say "x"', "two\nlines", "", "-1.5", "0", "<b>", "w" * 10_000]


def test_the_names_of_columns_are_no_formulas_either() -> None:
    assert as_csv(["=1+1", "a"], []) == "'=1+1,a\n"
