"""Momentum: whether one yes makes the next more likely."""

from __future__ import annotations

from answers.dashboard.page import Asked, Page
from answers.sections.momentum import momentum_section
from warehouse.asks import momentum
from warehouse.effects import of_an_earlier_yes


def page(asked: Asked) -> Page:
    of, ladder = asked.view.slice_of_units(), asked.ladder
    effect = of_an_earlier_yes(asked.warehouse, ladder, of).get(of.value or "")
    section = momentum_section(momentum(asked.warehouse, ladder, of), effect, ladder)
    nothing = "No ask of these days has had its conversion window pass, so nothing is settled yet."
    return Page(
        "sections.html", "Momentum", {"nothing": nothing, "of_asks": True}, () if section is None else (section,)
    )
