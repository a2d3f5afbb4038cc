from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from answers.facts import Health, Quality, ReportFacts
from answers.report import render_report, write_report
from ladder.errors import UsageError
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.counted_rows import counted_step, counted_tier
from tests.suites.report_facts import ask_facts
from warehouse.query import StepRow, TierRow, Unit

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
HOSTILE = '</script><script>alert("1")</script><img src=https://evil.example/x onerror=alert(1)>'


def tier(number: int, name: str, asked: int, yes: int, no: int, implicit: int, reached_next: int) -> TierRow:
    return counted_tier(number, name, asked, yes, no=no, implicit=implicit, reached_next=reached_next)


def step(number: int, name: str, unit: Unit, asked: int, yes: int, no: int) -> StepRow:
    return counted_step(number, name, asked, yes, no=no, unit=unit)


def ladder(tiers: tuple[str, ...], *steps: str) -> Ladder:
    marks = tuple(Mark(n, "yes", name) for n in range(1, len(tiers) + 1) for name in steps)
    return Ladder("trial", tiers, (Rule("event", {}, marks),))


FACTS = ReportFacts(
    ladder=ladder(("spark", "micro"), "article", "poll"),
    written_at=NOW,
    first_at=datetime(2026, 11, 1, 4, 30, tzinfo=timezone(timedelta(hours=4))),
    last_at=datetime(2026, 11, 21, 17, 5, tzinfo=UTC),
    events=72500,
    sessions=18079,
    visitors=409,
    per_session=(tier(1, "spark", 17602, 9253, 1000, 402, 2248), tier(2, "micro", 9696, 2228, 0, 315, 0)),
    per_visitor=(tier(1, "spark", 409, 402, 3, 0, 394), tier(2, "micro", 402, 394, 0, 0, 0)),
    steps=(step(1, "article", "session", 3000, 2000, 7), step(2, "poll", "session", 1200, 300, 11)),
    health=Health(
        landed=72500,
        duplicates=120,
        rejected={"bad_time": 3, "not_json": 12},
        late=7,
        sent=72635,
        landed_at=NOW - timedelta(minutes=2),
        built_at=NOW - timedelta(minutes=1),
        quality=Quality(NOW, page="quality/index.html"),
    ),
    attribution="Some people, CC BY 4.0",
)

Element = tuple[str, dict[str, str | None]]


class Reader(HTMLParser):
    """The page as elements, tables of cell texts by id, and its text without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._table: list[list[str]] = []
        self._inside: list[Element] = []
        self.feed(page)
        self.text = " ".join(self.text.split())
        self.tables = {
            name: [[" ".join(cell.split()) for cell in row] for row in rows] for name, rows in self.tables.items()
        }

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs))
        self.elements.append(element)
        if tag not in ("meta", "link", "br", "input", "img"):
            self._inside.append(element)
        if tag == "table":
            self._table = self.tables[str(element[1]["id"])] = []
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag == "script":
            self.scripts.append((element[1], ""))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._inside.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        names = [name for name, _ in self._inside]
        if "script" in names:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif "style" not in names:
            self.text += data
            if "td" in names or ("th" in names and "tr" in names):
                self._table[-1][-1] += data

    @property
    def facts(self) -> Any:
        return next(json.loads(text) for attributes, text in self.scripts if attributes.get("id") == "facts")

    @property
    def policy(self) -> str:
        return next(str(a["content"]) for tag, a in self.elements if a.get("http-equiv") == "Content-Security-Policy")


@pytest.fixture(scope="module")
def page() -> Reader:
    return Reader(render_report(FACTS))


def test_the_tables_hold_the_numbers_of_the_facts(page: Reader) -> None:
    assert page.tables["tiers-session"][1:] == [
        ["1spark", "17,602", "9,253", "1,000", "7,349", "47.4% 46.7% to 48.2%", "402", "9,655", "2,248 23.3%"],
        ["2micro the largest drop-off", "9,696", "2,228", "0", "7,468", "77.0% 76.2% to 77.8%", "315", "2,543", "–"],
    ]
    assert page.tables["tiers-visitor"][1:] == [
        ["1spark", "409", "402", "3", "4", "1.7% 0.8% to 3.5%", "0", "402", "394 98.0%"],
        ["2micro seems the largest drop-off", "402", "394", "0", "8", "2.0% 1.0% to 3.9%", "0", "394", "–"],
    ]


def test_the_chart_gets_the_same_numbers(page: Reader) -> None:
    session, visitor = page.facts["views"]
    assert (session["unit"], session["worst"], visitor["unit"], visitor["worst"]) == ("session", 2, "visitor", 2)
    assert [TierRow(**row) for row in session["tiers"]] == list(FACTS.per_session)
    assert [TierRow(**row) for row in visitor["tiers"]] == list(FACTS.per_visitor)


def test_the_steps_stand_with_the_surest_loss_first(page: Reader) -> None:
    assert page.tables["steps-session"][1:] == [
        ["poll", "micro", "1,200", "300", "11", "889", "", "75.0% 72.5% to 77.4%"],
        ["article", "spark", "3,000", "2,000", "7", "993", "", "33.3% 31.7% to 35.0%"],
    ]
    assert "No step with a yes in the ladder was asked of any visitor." in page.text


def test_of_many_steps_the_worst_ten_are_shown_and_the_rest_counted() -> None:
    names = [f"step {n}" for n in range(12)]
    steps = tuple(step(1, name, "session", 1000, 900 - 10 * n, 0) for n, name in enumerate(names))
    read = Reader(render_report(replace(FACTS, ladder=ladder(("spark", "micro"), *names), steps=steps)))
    assert [row[0] for row in read.tables["steps-session"][1:]] == [f"step {n}" for n in range(11, 1, -1)]
    assert "the first 10 of 12 steps" in read.text


def test_headline_period_and_totals_are_said(page: Reader) -> None:
    assert "Where people drop off: trial" in page.text
    assert "Events from 1 Nov 2026, 00:30 UTC to 21 Nov 2026, 17:05 UTC" in page.text
    assert "72,500 events in 18,079 sessions of 409 visitors" in page.text
    assert "Per session: The largest drop-off is at tier 2, micro: of 9,696 sessions asked, 77.0%" in page.text
    assert "Per visitor: The largest drop-off seems to be at tier 2, micro: of 402 visitors asked, 2.0%" in page.text


def test_every_time_carries_its_moment_for_the_viewers_zone(page: Reader) -> None:
    moments = {datetime.fromisoformat(str(a["datetime"])) for tag, a in page.elements if tag == "time"}
    assert moments == {FACTS.first_at, FACTS.last_at, FACTS.health.landed_at, FACTS.health.built_at, NOW}


def test_the_data_health_is_said(page: Reader) -> None:
    assert "72,635 sent = 72,500 landed + 120 duplicates + 15 rejected." in page.text
    assert page.tables["rejected"][1:] == [
        ["not_json", "the bytes are not one JSON value", "12"],
        ["bad_time", "a time is not RFC 3339 with a zone, or lies before 2000 or after 2100", "3"],
    ]
    assert "All that is in these numbers passed the quality check. It last looked 22 Nov 2026, 23:00 UTC." in page.text
    assert ("a", {"href": "quality/index.html"}) in page.elements
    assert "Data: Some people, CC BY 4.0" in page.text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (72640, "5 of the 72,640 events sent are not in these numbers: on their way, held back, or lost."),
        (72600, "35 more events arrived than this sender sent"),
        (None, "The last events landed"),
    ],
)
def test_events_that_do_not_add_up_are_not_called_accounted_for(sent: int | None, said: str) -> None:
    read = Reader(render_report(replace(FACTS, health=replace(FACTS.health, sent=sent))))
    assert said in read.text
    assert "accounted" not in read.text


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        (Quality(NOW, ("one",)), "holds back batch one: what landed with it is not in these numbers. It last looked"),
        (Quality(NOW, ("one", "two")), "holds back batch one and batch two: what landed with them is not in"),
        (Quality(NOW, (), ("three",)), "The quality check failed batch three, let in by hand. It last looked"),
        (Quality(NOW, ("one",), ("three",)), "not in these numbers. The quality check failed batch three, let in by"),
    ],
)
def test_batches_that_the_quality_check_refused_are_named(quality: Quality, said: str) -> None:
    facts = replace(FACTS, health=replace(FACTS.health, quality=quality))
    read = Reader(render_report(facts))
    assert said in read.text
    assert "passed the quality check" not in read.text


@pytest.mark.parametrize(
    ("files", "said"),
    [(1, "1 file landed since then and is not in these numbers."), (3, "3 files landed since then and are not in")],
)
def test_what_landed_since_the_build_is_said(files: int, said: str) -> None:
    facts = replace(FACTS, health=replace(FACTS.health, unbuilt_files=files))
    assert said in Reader(render_report(facts)).text
    assert "since then" not in Reader(render_report(FACTS)).text


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "https://evil.example/", "//evil.example/", "/\\evil.example/", "data:text/html,x"],
)
def test_a_quality_page_elsewhere_gets_no_link(address: str) -> None:
    facts = replace(FACTS, health=replace(FACTS.health, quality=Quality(NOW, page=address)))
    assert [a for tag, a in Reader(render_report(facts)).elements if tag == "a"] == []


def test_nothing_is_loaded_from_anywhere(page: Reader) -> None:
    loads = [
        a[key] for tag, a in page.elements for key in ("src", "srcset", "href", "data", "poster", "action") if key in a
    ]
    assert loads == ["data:,", "quality/index.html"]
    style = render_report(FACTS).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(page: Reader) -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    own = [text for attributes, text in page.scripts if attributes.get("type") is None]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own]
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{digest}'" for digest in digests),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_hostile_names_are_text_wherever_they_stand(page: Reader) -> None:
    names = (HOSTILE, "micro")
    hostile = replace(
        FACTS,
        ladder=replace(ladder(names, HOSTILE), name=HOSTILE),
        per_session=(replace(FACTS.per_session[0], name=HOSTILE, yes=0, silent=16602), FACTS.per_session[1]),
        per_visitor=(replace(FACTS.per_visitor[0], name=HOSTILE), FACTS.per_visitor[1]),
        steps=(step(1, HOSTILE, "session", 3000, 2000, 7),),
        health=replace(FACTS.health, rejected={HOSTILE: 1}),
        attribution=HOSTILE,
        asks=ask_facts(HOSTILE, tiers=2),
    )
    read = Reader(render_report(hostile))
    kinds = [tag for tag, _ in read.elements]
    assert "img" not in kinds
    assert kinds.count("script") == [tag for tag, _ in page.elements].count("script")
    assert [text for a, text in read.scripts if a.get("id") is None] == [
        text for a, text in page.scripts if a.get("id") is None
    ]
    assert read.facts["views"][0]["tiers"][0]["name"] == HOSTILE
    assert not set("<>&") & set(next(text for a, text in read.scripts if a.get("id") == "facts"))
    assert read.tables["steps-session"][1][0] == HOSTILE
    assert read.tables["rejected"][1][0] == HOSTILE
    assert f"Where people drop off: {HOSTILE}" in read.text
    assert f"Data: {HOSTILE}" in read.text


@pytest.mark.parametrize("tiers", [2, 32])
def test_ladders_of_2_and_32_tiers_have_a_row_for_each(tiers: int) -> None:
    names = tuple(f"tier {n}" for n in range(1, tiers + 1))
    rows = tuple(tier(n, name, 1000 - n, 900 - n, 0, 0, 5) for n, name in enumerate(names, 1))
    read = Reader(render_report(replace(FACTS, ladder=ladder(names), per_session=rows, per_visitor=rows, steps=())))
    for unit in ("session", "visitor"):
        table = read.tables[f"tiers-{unit}"][1:]
        assert [row[0].partition("tier ")[2].split()[0] for row in table] == [str(n) for n in range(1, tiers + 1)]
        assert [row[1] for row in table] == [f"{1000 - n}" for n in range(1, tiers + 1)]


def test_zero_people_give_a_page_that_says_so() -> None:
    nobody = tuple(tier(n, name, 0, 0, 0, 0, 0) for n, name in enumerate(("spark", "micro"), 1))
    empty = ReportFacts(
        ladder=ladder(("spark", "micro"), "article"),
        written_at=NOW,
        first_at=None,
        last_at=None,
        events=0,
        sessions=0,
        visitors=0,
        per_session=nobody,
        per_visitor=nobody,
        steps=(),
        health=Health(landed=0, duplicates=0, rejected={}, late=0),
    )
    read = Reader(render_report(empty))
    assert "No events yet." in read.text
    assert "Nobody has been asked anything yet" in read.text
    assert "Nothing has landed yet; this page was written 22 Nov 2026, 23:00 UTC." in read.text
    assert "No quality check has run yet." in read.text
    assert "rejected" not in read.tables
    assert read.tables["tiers-visitor"][1] == ["1spark", "0", "0", "0", "0", "nobody asked", "0", "0", "0"]


def test_everything_has_its_heading_label_or_text(page: Reader) -> None:
    ids = {a["id"] for _, a in page.elements if "id" in a}
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    sections = [a for tag, a in page.elements if tag == "section"]
    assert sections
    assert all(a["aria-labelledby"] in ids for a in sections)
    charts = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(charts) == 2
    assert all("All its numbers are in the table that follows." in str(a["aria-label"]) for a in charts)
    assert all("scope" in a for tag, a in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


def test_the_page_takes_the_place_of_an_older_one_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    path.parent.mkdir()
    path.write_text("older")
    assert write_report(FACTS, path) == path
    assert path.read_text(encoding="utf-8") == render_report(FACTS)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    assert write_report(FACTS, tmp_path / "a" / "b" / "report.html").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/report.html: the page cannot be written there"):
        write_report(FACTS, tmp_path / "file" / "report.html")


def test_a_page_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.html" / "inside").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(FACTS, tmp_path / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
