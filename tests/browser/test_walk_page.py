"""A walk's page as a person meets it: opened from a file, in Chromium."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from answers.walk_page import render_walk
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkEvent, WalkMark, WalkSession

if TYPE_CHECKING:
    from tests.browser.chromium import Chromium

pytestmark = pytest.mark.browser

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>" + "w" * 60
LADDER = Ladder("trial", ("spark", HOSTILE, "mini", "midi"), ())


def sitting(day: int, away: float | None) -> WalkSession:
    begun = START + timedelta(days=day)
    events = tuple(
        WalkEvent(
            f"e{n}",
            HOSTILE,
            begun + timedelta(seconds=9 * n),
            9.0 if n else None,
            n == 4,
            min(4, 1 + n // 2) if n else 0,
            n % 2 == 0,
            (
                WalkMark(1 + n // 2, "ask", HOSTILE, n // 2, "yes", seconds=9.0)
                if n % 2 == 0
                else WalkMark(1 + n // 2, "yes", HOSTILE, seconds=9.0),
            ),
        )
        for n in range(8)
    )
    return WalkSession(
        f"v@{day}", "v", begun, events[-1].at, away, False, None, None, HOSTILE, None, None, None, events
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("walk") / "walk.html"
    walk = Walk(HOSTILE, (HOSTILE,), ("maya",), 4, tuple(sitting(day, day and 80_000.0) for day in range(4)), ())
    path.write_text(render_walk(walk, LADDER, START), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("dark", [False, True])
def test_it_loads_nothing_complains_of_nothing_and_only_the_drawing_scrolls(
    chromium: Chromium, page: Path, width: int, dark: bool
) -> None:
    opened = chromium.open(page, width=width, dark=dark)
    assert opened.requests == [page.as_uri()]
    assert opened.complaints == []
    assert opened.evaluate("document.querySelectorAll('img, script').length") == 0
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.evaluate("document.querySelector('.walk').scrollWidth > document.querySelector('.walk').clientWidth")


def test_the_tiers_stay_in_sight_when_the_drawing_is_scrolled(chromium: Chromium, page: Path) -> None:
    opened = chromium.open(page, width=390)
    opened.evaluate("document.querySelector('.walk').scrollLeft = 600")
    left = "document.querySelector('.walk .names').getBoundingClientRect().left"
    assert opened.evaluate(f"{left} - document.querySelector('.walk').getBoundingClientRect().left") == 0
    words = opened.evaluate("[...document.querySelectorAll('.names text')].map((t) => t.firstChild.textContent.trim())")
    assert [words[0], words[1], words[3], words[4]] == ["nothing yet", "1 spark", "3 mini", "4 midi"]
