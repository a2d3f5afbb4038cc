"""Value first: how visits start, and what had been given before each ask."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.sections.value_first import value_first_section
from warehouse.effects import of_a_gift
from warehouse.value_first import value_first


def page(asked: Asked) -> Page:
    of, ladder = asked.view.slice_of_units(), asked.ladder
    found = value_first(asked.warehouse, ladder, of)
    value = found.all if of.value is None else found.by.get(of.value)
    section = value_first_section(
        value, of_a_gift(asked.warehouse, ladder, of).get(of.value or ""), ladder, asked.view.unit
    )
    return Page(
        "sections.html",
        "Value first",
        {"nothing": f"No {asked.view.unit} began in these days.", "of_asks": False},
        () if section is None else (section,),
    )
