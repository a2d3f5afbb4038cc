"""Hesitation: how long people take to answer, step by step."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.sections.hesitation import hesitation_section
from warehouse.asks import hesitation


def page(asked: Asked) -> Page:
    found = hesitation(asked.warehouse, asked.ladder, asked.view.slice_of_units())
    section = hesitation_section(found, asked.ladder)
    return Page(
        "sections.html",
        "Hesitation",
        {"nothing": "Nobody has answered an ask of these days yet.", "of_asks": True},
        () if section is None else (section,),
    )
