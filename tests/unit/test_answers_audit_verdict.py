from __future__ import annotations

import pytest

from answers.audit_verdict import Borders, Verdict, verdict, verdict_of_parts
from ladder.rates import Rate

FIFTHS = Borders(no=0.2, yes=0.8)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.81, 0.95, "yes"),
        (0.80, 0.95, "not enough data"),
        (0.05, 0.19, "no"),
        (0.05, 0.20, "not enough data"),
        (0.21, 0.79, "partly"),
        (0.20, 0.79, "not enough data"),
        (0.21, 0.80, "not enough data"),
        (0.0, 1.0, "not enough data"),
    ],
)
def test_a_verdict_is_claimed_only_where_all_of_the_interval_lies_within_the_borders(
    low: float, high: float, said: str
) -> None:
    share = Rate((low + high) / 2, low, high)
    assert verdict(share, share, FIFTHS) == said


def test_yes_and_no_may_be_of_two_shares() -> None:
    gives, gives_at_all = Rate(0.1, 0.05, 0.15), Rate(0.9, 0.85, 0.95)
    assert verdict(gives, gives_at_all, FIFTHS) == "partly"
    assert verdict(gives, gives, FIFTHS) == "no"
    assert verdict(gives_at_all, gives_at_all, FIFTHS) == "yes"
    unknown = Rate(0.5, 0.1, 0.9)
    assert verdict(gives, unknown, FIFTHS) == verdict(unknown, gives_at_all, FIFTHS) == "not enough data"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("yes", "yes"), "yes"),
        (("yes", "no"), "partly"),
        (("no", "no", "yes"), "no"),
        (("no", "not enough data", "not enough data"), "partly"),
        (("yes", "partly"), "partly"),
        (("yes", "not enough data"), "not enough data"),
        ((), "not enough data"),
    ],
)
def test_a_whole_is_what_most_of_its_parts_let_it_be(parts: tuple[Verdict, ...], said: str) -> None:
    assert verdict_of_parts(parts) == said
