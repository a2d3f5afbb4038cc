"""Leaps: what people held when they were asked for more, and whether it was too much too soon."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.sections.leaps import leaps_section
from answers.sections.too_soon import too_soon_section
from warehouse.asks import leaps
from warehouse.too_soon import too_soon


def page(asked: Asked) -> Page:
    of, ladder = asked.view.slice_of_units(), asked.ladder
    sections = (
        leaps_section(leaps(asked.warehouse, ladder, of), ladder),
        too_soon_section(next(iter(too_soon(asked.warehouse, ladder, of)), None), ladder),
    )
    return Page(
        "sections.html",
        "Leaps",
        {"nothing": "Nobody was asked for anything in these days.", "of_asks": True},
        tuple(section for section in sections if section is not None),
    )
