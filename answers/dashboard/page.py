"""What a page is made from and what it is: each module of ``pages`` turns the one into the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from answers.dashboard.view import View
from answers.sections.section import Section
from ladder.tiers import Ladder


@dataclass(frozen=True)
class Asked:
    """A request for a page.  ``given``: the rest of its address.  ``funnels``: the file of saved funnels."""

    warehouse: Path
    ladder: Ladder
    view: View
    given: Mapping[str, tuple[str, ...]]
    now: datetime
    funnels: Path

    def one(self, name: str) -> str | None:
        """What is given last under that name; None where nothing or nothing but spaces is."""
        found = self.given.get(name, ())
        return found[-1] if found and found[-1].strip() else None

    def all(self, name: str) -> list[str]:
        """All that is given under that name, without what is empty."""
        return [text for text in self.given.get(name, ()) if text.strip()]


@dataclass(frozen=True)
class Page:
    """``template`` of ``templates/dashboard``.  ``charts``: what the script draws, by name.

    ``sections``: shown one after the other where the template says.  ``keep``: further parts of the address that the
    form of the view must keep.
    """

    template: str
    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    charts: Mapping[str, object] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
