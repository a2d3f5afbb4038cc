"""Cheers: what follows on a yes: its reward, a cheer, and the next yes."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.sections.after_yes import after_yes_section
from warehouse.asks import after_yes
from warehouse.effects import of_a_cheer


def page(asked: Asked) -> Page:
    of, ladder = asked.view.slice_of_units(), asked.ladder
    effect = of_a_cheer(asked.warehouse, ladder, of).get(of.value or "")
    section = after_yes_section(after_yes(asked.warehouse, ladder, of), effect, ladder)
    return Page(
        "sections.html",
        "Cheers",
        {"nothing": "Nobody said yes to anything in these days.", "of_asks": True},
        () if section is None else (section,),
    )
