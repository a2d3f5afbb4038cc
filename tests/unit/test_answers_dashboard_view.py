from __future__ import annotations

from datetime import date
from urllib.parse import parse_qsl

import pytest

from answers.dashboard.view import View, quick_views, read_view
from ladder.errors import UsageError
from ladder.tiers import builtin_ladder

LADDER = builtin_ladder()


@pytest.mark.parametrize(
    "view",
    [
        View(LADDER.name),
        View(LADDER.name, "session", date(2026, 3, 1), date(2026, 3, 8), "utm_source", "a&b=c <i>ü</i> +"),
        View(LADDER.name, "visitor", None, date(2026, 3, 8), "device_class", ""),
    ],
)
def test_an_address_is_the_view(view: View) -> None:
    assert read_view(dict(parse_qsl(view.query(), keep_blank_values=True)), LADDER) == view


def test_what_is_empty_in_a_form_is_not_asked_for() -> None:
    given = {"ladder": "", "unit": "", "since": "", "until": "", "segment": "", "value": "x"}
    assert read_view(given, LADDER) == View(LADDER.name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ladder": "another"}, "another"),
        ({"unit": "user"}, "session and visitor"),
        ({"since": "yesterday"}, "since: 'yesterday' is no day"),
        ({"since": "2026-13-01"}, "since"),
        ({"until": "9999-12-31"}, "until"),
        ({"since": "2026-03-02", "until": "2026-03-02"}, "later"),
        ({"segment": "shoe_size"}, "shoe_size"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_view(given, LADDER)


def test_the_days_before_are_as_many_and_end_where_these_begin() -> None:
    view = View(LADDER.name, "session", date(2026, 3, 1), date(2026, 3, 8), "utm_source", "ads")
    assert view.before() == View(LADDER.name, "session", date(2026, 2, 22), date(2026, 3, 1), "utm_source", "ads")
    assert view.days == 7


@pytest.mark.parametrize("view", [View("x", since=date(2026, 3, 1)), View("x", until=date(2026, 3, 1)), View("x")])
def test_without_both_ends_there_are_no_days_before(view: View) -> None:
    assert view.before() is None
    assert view.days is None


def test_quick_views_end_with_the_last_day_that_has_data_and_are_shorter_than_all() -> None:
    found = quick_views(View("x"), date(2026, 2, 1), date(2026, 3, 1))
    assert found == [
        ("Last 7 days", View("x", since=date(2026, 2, 23), until=date(2026, 3, 2))),
        ("Last 28 days", View("x", since=date(2026, 2, 2), until=date(2026, 3, 2))),
        ("All days", View("x")),
    ]
