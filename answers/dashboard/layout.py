"""What all pages have in common: the menu, the form of the view, and how fresh the numbers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from answers.dashboard.assets import address
from answers.dashboard.page import Asked, Page
from answers.dashboard.view import View, quick_views
from answers.numbers import interval
from answers.page import as_json, environment
from warehouse.counted import SEGMENTS
from warehouse.query import open_marts

VALUES_OFFERED = 12

_NO_VIEW = ("alerts", "funnel", "health", "sql", "walk")
"""Pages whose numbers are not of some days, unit and segment, or that have a form of their own for them."""

_NEEDS_NO_MARTS = ("alerts", "health")

Menu = Sequence[tuple[str, str]]


def render_page(name: str, make: Callable[[Asked], Page], asked: Asked, menu: Menu) -> str:
    """The whole page.  Raises what ``make`` raises."""
    has_view = name not in _NO_VIEW
    page = make(asked)
    view = asked.view
    days = _days(asked) if name not in _NEEDS_NO_MARTS else None
    return (
        environment()
        .get_template(f"dashboard/{page.template}")
        .render(
            **page.facts,
            page=page,
            name=name,
            menu=menu,
            view=view,
            asked=asked,
            has_view=has_view,
            segments=SEGMENTS,
            values=_values(asked) if has_view and view.segment is not None else [],
            quick=quick_views(view, days.first, days.last) if days is not None and days.first and days.last else [],
            built_at=None if days is None else days.built_at,
            sections=page.sections,
            charts=as_json(page.charts) if page.charts else None,
            asset=address,
            interval=interval,
            again_s=None,
        )
    )


def render_trouble(title: str, words: str, menu: Menu, again_s: int | None = None, is_counting: bool = False) -> str:
    """A page that says why there is none, or (``is_counting``) none yet.

    ``again_s``: it asks again after so many seconds.
    """
    return (
        environment()
        .get_template("dashboard/trouble.html")
        .render(
            page=Page("trouble.html", title),
            name="",
            menu=menu,
            view=None,
            has_view=False,
            words=words,
            is_counting=is_counting,
            again_s=again_s,
            charts=None,
            built_at=None,
            asset=address,
        )
    )


class _Days:
    def __init__(self, first: date | None, last: date | None, built_at: object) -> None:
        self.first, self.last, self.built_at = first, last, built_at


def _days(asked: Asked) -> _Days:
    with open_marts(asked.warehouse) as marts:
        ((first, last),) = marts.execute(
            "select min(started_at)::date, max(started_at)::date from main.fct_sessions"
        ).fetchall()
        ((built_at,),) = marts.execute("select max(finished_at) from main.meta_builds").fetchall()
    return _Days(first, last, built_at)


def _values(asked: Asked) -> list[tuple[str, View]]:
    """The values of the segment that most visitors have, each with the view of it."""
    with open_marts(asked.warehouse) as marts:
        rows = marts.execute(
            f"select coalesce(first_{asked.view.segment}, '') as value from main.dim_visitors"
            f" group by value order by count(*) desc, value limit {VALUES_OFFERED}"
        ).fetchall()
    return [(value, asked.view.but(value=value)) for (value,) in rows]
