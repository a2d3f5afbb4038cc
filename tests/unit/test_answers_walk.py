from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from rich.console import Console

from answers.walk_drawing import MOST_EVENTS, drawing
from answers.walk_page import MOST_ROWS, render_walk
from answers.walk_text import WalkText
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkEvent, WalkMark, WalkSession

LADDER = Ladder("trial", ("spark", "micro", "mini"), ())
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
HOSTILE = '</script><script>alert("1")</script><img src=https://evil.example/x onerror=alert(1)>\x1b[31m[red]'


def event(
    n: int,
    at_s: float,
    *marks: WalkMark,
    since: float | None = None,
    held: int = 0,
    climbs: bool = False,
    late: bool = False,
    name: str = "Event",
) -> WalkEvent:
    return WalkEvent(f"e{n}", name, START + timedelta(seconds=at_s), since, late, held, climbs, marks)


def session(*events: WalkEvent, away: float | None = None, source: str | None = None) -> WalkSession:
    begun, ended = events[0].at, events[-1].at
    return WalkSession(
        f"v@{begun}", "v", begun, ended, away, False, None, None, source, None, None, "mobile", tuple(events)
    )


FIRST = session(
    event(1, 0, WalkMark(1, "ask", "read", 0, "yes", seconds=12.0), WalkMark(3, "ask", "sign up", 0)),
    event(2, 12, WalkMark(1, "yes", "read", seconds=12.0), since=12, held=1, climbs=True),
    event(3, 20, since=8, held=1, name="Scrolled"),
    event(4, 21, since=1, held=1, name="Clicked"),
    event(5, 40, WalkMark(2, "ask", "vote", 1, "no", seconds=3.0), since=19, held=1),
    event(6, 43, WalkMark(2, "no", "vote", seconds=3.0), since=3, held=1),
)
SECOND = session(
    event(7, 90_000, WalkMark(2, "yes", "vote"), WalkMark(2, "cheer", "vote"), held=2, climbs=True, late=True),
    event(8, 90_010, WalkMark(3, "ask", "sign up", 2, is_open=True), since=10, held=2),
    away=89_957,
    source="mail",
)
WALK = Walk("v", ("v",), ("maya",), 2, (FIRST, SECOND), ())


def printed(walk: Walk, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(WalkText(walk, LADDER))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_walk_is_told_mark_by_mark() -> None:
    assert [" ".join(line.split()) for line in printed(WALK, width=140)] == [
        "The walk of v",
        "Known as user maya.",
        "Climbed to micro, tier 2, in 2 sessions over 1.0 d. 4 asks: 1 yes, 1 no, 1 silent, 1 still open.",
        "",
        "Session 1 of 2: 1 Mar 2026, 09:00 UTC, mobile",
        "1 spark asked read yes after 12 s",
        "3 mini asked sign up no answer; a leap of 3 tiers, holding nothing",
        "+12 s 1 spark said yes read after 12 s; now holds spark",
        "+8.0 s 2 events: Scrolled and Clicked",
        "+19 s 2 micro asked vote no after 3.0 s",
        "+3.0 s 2 micro said no vote after 3.0 s",
        "",
        "Session 2 of 2: 2 Mar 2026, 10:00 UTC, 1.0 d later, mail, mobile",
        "2 micro said yes vote not the answer to an ask; now holds micro; came late",
        "2 micro was cheered vote came late",
        "+10 s 3 mini asked sign up may still be answered",
        "",
        "Last seen 2 Mar 2026, 10:00 UTC. The last ask, “sign up” of tier mini, may still be answered.",
    ]


def test_who_was_never_asked_is_said_to_be_so() -> None:
    lines = printed(Walk("v", ("v",), (), 0, (session(event(1, 0, name="Scrolled")),), ()))
    assert lines[1] == "Said yes to nothing, in 1 session over 0.0 s. Never asked for anything."
    assert lines[-1] == "Last seen 1 Mar 2026, 09:00 UTC."


def test_late_events_in_no_session_stand_apart() -> None:
    lines = printed(replace(WALK, outside=(event(9, 50, WalkMark(2, "yes", "vote"), late=True),)))
    place = lines.index("Late, and in no session until `yesladder resessionise`: counted nowhere")
    assert lines[place + 1].split()[-2:] == ["came", "late"]


def hostile() -> Walk:
    bad = event(1, 0, WalkMark(1, "ask", HOSTILE, 0), WalkMark(2, "yes", HOSTILE), name=HOSTILE, held=2, late=True)
    other = event(2, 5, name=HOSTILE)
    place = replace(session(bad, other, source=HOSTILE), visitor_id=HOSTILE)
    return Walk(HOSTILE, (HOSTILE, "other"), (HOSTILE,), 2, (place,), (bad,))


def test_names_do_nothing_to_the_terminal() -> None:
    text = "\n".join(printed(hostile()))
    assert "\x1b" not in text
    assert "[red]" in text


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_names_do_nothing_to_the_page_which_runs_and_loads_nothing() -> None:
    ladder = Ladder(HOSTILE, (HOSTILE, "micro", "mini"), ())
    elements = Elements(render_walk(hostile(), ladder, START)).found
    tags = {tag for tag, _ in elements}
    assert not tags & {"script", "img", "iframe", "object", "form", "base"}
    assert [attributes["href"] for tag, attributes in elements if "href" in attributes] == ["data:,"]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on") or name == "src"]
    (policy,) = [a["content"] for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'none'; ")


def test_the_page_says_what_the_terminal_says() -> None:
    page = " ".join(render_walk(WALK, LADDER, START).split())
    for words in (
        "Climbed to micro, tier 2, in 2 sessions over 1.0 d. 4 asks: 1 yes, 1 no, 1 silent, 1 still open.",
        "no answer; a leap of 3 tiers, holding nothing",
        "now holds <bdi>micro</bdi>",
        "came late",
        "1.0 d later",
        "Scrolled",
    ):
        assert words in page


def test_every_mark_is_drawn_at_the_height_of_its_tier_and_the_way_climbs_where_the_walk_does() -> None:
    drawn = drawing(WALK, LADDER)
    y = {rung.tier: rung.y for rung in drawn.rungs}
    assert [rung.name for rung in drawn.rungs] == ["nothing yet", "spark", "micro", "mini"]
    assert y[0] > y[1] > y[2] > y[3] > 0
    looks = [(dot.look, dot.y) for dot in drawn.dots]
    assert looks == [
        ("ask yes", y[1]),
        ("ask silent", y[3]),
        ("yes", y[1]),
        ("ask no", y[2]),
        ("no", y[2]),
        ("yes", y[2]),
        ("cheer", y[2]),
        ("ask open", y[3]),
    ]
    assert [dot.is_late for dot in drawn.dots] == [False] * 5 + [True, True, False]
    xs = [dot.x for dot in drawn.dots]
    assert xs == sorted(xs)
    assert len({(dot.x, dot.y) for dot in drawn.dots}) == len(drawn.dots)
    heights = [int(part.partition("H")[0]) for part in drawn.way.replace("M", "V").split("V")[2:]]
    heights.insert(0, int(drawn.way.partition("H")[0].split()[-1]))
    assert list(dict.fromkeys(heights)) == [y[0], y[1], y[2]]
    assert [band.away for band in drawn.bands] == ["", "1.0 d later"]
    assert all(0 < dot.x < drawn.width and 0 < dot.y < drawn.height for dot in drawn.dots)


@pytest.mark.parametrize("sessions", [1, 7])
def test_of_a_long_walk_the_end_is_drawn_and_listed(sessions: int) -> None:
    each = 3 * MOST_ROWS // sessions
    long = tuple(
        session(
            *(event(n, s * 90_000 + n, WalkMark(1, "yes", "read"), held=1, climbs=n == s == 0) for n in range(each)),
            away=None if s == 0 else 5000,
        )
        for s in range(sessions)
    )
    walk = Walk("v", ("v",), (), 1, long, ())
    drawn = drawing(walk, LADDER)
    assert (len(drawn.dots), drawn.left_out) == (MOST_EVENTS, sessions * each - MOST_EVENTS)
    assert drawn.way.partition("H")[0].endswith(f" {drawn.rungs[1].y}"), "it holds already what it held before"
    page = render_walk(walk, LADDER, START)
    assert f"The last 300 events are drawn; {sessions * each - 300:,} earlier ones are not." in page
    assert f"Session {sessions} of {sessions}" in page
    assert "Session 1 of 7" not in page


@pytest.mark.parametrize("tiers", [2, 32])
def test_ladders_of_2_and_32_tiers_have_a_line_for_each(tiers: int) -> None:
    names = tuple(f"tier {n}" for n in range(1, tiers + 1))
    drawn = drawing(Walk("v", ("v",), (), 2, (FIRST,), ()), Ladder("l", names + ("x",) * (tiers == 2), ()))
    ys = [rung.y for rung in drawn.rungs]
    assert ys == sorted(ys, reverse=True)
    assert ys[-1] > 0
    assert ys[0] < drawn.height
