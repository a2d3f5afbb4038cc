"""The report page as a person meets it: opened from a file, in Chromium."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from answers.facts import Health, ReportFacts
from answers.report import render_report
from ladder.tiers import Ladder, Mark, Rule
from tests.suites.counted_rows import counted_tier
from tests.suites.named_facts import facts_with
from tests.suites.report_facts import ask_facts
from warehouse.query import TierRow

if TYPE_CHECKING:
    from tests.browser.chromium import Chromium, Page

pytestmark = pytest.mark.browser

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


def tier(number: int, name: str, asked: int, yes: int, no: int = 0, implicit: int = 0) -> TierRow:
    return counted_tier(number, name, asked, yes, no=no, implicit=implicit)


TIERS = ("spark", HOSTILE, "mini", "midi")

FACTS = ReportFacts(
    ladder=Ladder("trial", TIERS, (Rule("event", {}, (Mark(1, "ask", "only"), Mark(1, "yes", "only"))),)),
    written_at=NOW,
    first_at=datetime(2026, 11, 1, 20, 30, tzinfo=UTC),
    last_at=NOW,
    events=72500,
    sessions=18079,
    visitors=409,
    per_session=(
        tier(1, "spark", 17602, 9253, 1000),
        tier(2, HOSTILE, 9696, 2228, implicit=315),
        tier(3, "mini", 0, 0, implicit=12),
        tier(4, "midi", 0, 0),
    ),
    per_visitor=(
        tier(1, "spark", 409, 402),
        tier(2, HOSTILE, 257, 193),
        tier(3, "mini", 0, 0, implicit=3),
        tier(4, "midi", 0, 0),
    ),
    steps=(),
    asks=ask_facts(HOSTILE + "w" * 60, tiers=4),
    health=Health(landed=72500, duplicates=0, rejected={}, late=0, landed_at=NOW),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(FACTS), encoding="utf-8")
    return path


def drawn(page: Page, unit: str) -> list[str]:
    """The words of the chart, in the order in which they were drawn; empty where no chart can be seen."""
    texts: list[str] = page.evaluate(
        f"[...document.querySelectorAll('#chart-{unit}:not([hidden]) svg text')].map((text) => text.textContent)"
    )
    return [" ".join(text.split()) for text in texts]


def boxes(page: Page, unit: str, fill: str) -> list[dict[str, float]]:
    """Where the shapes of this colour stand in the chart, from the top."""
    found: list[dict[str, float]] = page.evaluate(
        f"""[...document.querySelectorAll('#chart-{unit} svg path[fill="{fill}"]')].map((path) => {{
          const box = path.getBoundingClientRect();
          return {{left: box.left, top: box.top, width: box.width}};
        }})"""
    )
    return sorted(found, key=lambda box: (box["left"], box["top"]))


def test_the_chart_draws_the_tiers_with_their_numbers(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report)
    words = drawn(page, "session")
    assert f"1 spark 2 {HOSTILE} 3 mini 4 midi" in " ".join(words)
    for word in ("1 spark", "3 mini", "17,602", "9,696", "52.6% yes", "23.0%", "47.4%", "77.0%"):
        assert word in words
    assert words.count("nobody asked") == 2
    assert page.complaints == []


def test_the_bars_are_as_long_as_the_numbers_say(chromium: Chromium, report: Path) -> None:
    yes = boxes(chromium.open(report), "session", "var(--yes)")
    assert len(yes) == 4
    many, shares = yes[:2], yes[2:]
    assert many[1]["width"] / many[0]["width"] == pytest.approx(2228 / 9253, rel=0.05)
    assert shares[1]["width"] / shares[0]["width"] == pytest.approx((2228 / 9696) / (9253 / 17602), rel=0.05)


def test_each_asked_tier_has_a_whisker_over_its_interval(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report)
    whiskers: list[list[float]] = page.evaluate(
        """[...document.querySelectorAll('#chart-visitor svg path[fill="none"], #chart-session svg path[fill="none"]')]
          .filter((path) => path.getAttribute('stroke') === 'var(--ink)' && path.getAttribute('stroke-width') === '2')
          .map((path) => { const box = path.getBBox(); return [box.x, box.width]; })"""
    )
    shares = boxes(page, "session", "var(--yes)")[2:]
    plot = shares[0]["width"] / (9253 / 17602)
    intervals = [row.drop_off_high - row.drop_off_low for row in FACTS.per_session[:2]]
    assert [width / plot for _, width in whiskers] == pytest.approx(intervals, rel=0.05)


def test_the_page_asks_for_nothing_but_itself(chromium: Chromium, report: Path) -> None:
    assert chromium.open(report).requests == [report.as_uri()]


def test_a_name_that_is_html_stays_text(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report)
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    box = page.evaluate(
        """(() => {
          const {left, top, width} = document.getElementById('chart-session').getBoundingClientRect();
          return {x: left + width * 0.7, y: top + 99 + window.scrollY};
        })()"""
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"], y=box["y"])
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + 3, y=box["y"])
    assert f"2 {HOSTILE}" in page.evaluate("document.getElementById('chart-session').textContent")
    assert "asked: 9,696 sessions" in page.evaluate("document.getElementById('chart-session').innerText")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.complaints == []


def test_marks_stand_where_the_numbers_are(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report)
    places = page.evaluate(
        """(() => {
          const line = document.querySelector('#hesitation .whisker').getBoundingClientRect();
          const mark = document.querySelector('#hesitation .whisker .mark').getBoundingClientRect();
          return [(mark.left + mark.width / 2 - line.left) / line.width, line.width];
        })()"""
    )
    assert places[0] == pytest.approx(1.602 / 6, abs=0.02)
    assert places[1] > 100


def test_the_policy_stops_a_script_that_slips_in(chromium: Chromium, report: Path) -> None:
    tampered = report.with_name("tampered.html")
    tampered.write_text(report.read_text().replace("</main>", "<script>window.slipped = true</script></main>"))
    page = chromium.open(tampered)
    assert page.evaluate("window.slipped") is None
    assert "Content Security Policy" in " ".join(page.complaints)


def test_the_switch_shows_the_other_unit(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report)
    assert drawn(page, "visitor") == []
    page.evaluate("document.querySelector('input[value=visitor]').click()")
    assert drawn(page, "session") == []
    assert {"409", "257", "75.1% yes", "24.9%"} <= set(drawn(page, "visitor"))
    shown = page.evaluate("[...document.querySelectorAll('table')].filter((t) => t.offsetHeight > 0).map((t) => t.id)")
    assert "tiers-visitor" in shown
    assert "tiers-session" not in shown


def test_without_scripts_all_tables_are_there(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report, scripts=False)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    shown = page.evaluate("[...document.querySelectorAll('table')].filter((t) => t.offsetHeight > 0).map((t) => t.id)")
    assert shown[:2] == ["tiers-session", "tiers-visitor"]
    assert {"heat-leaps", "after-yes", "hesitation"} < set(shown)
    assert page.evaluate("document.querySelector('.units').hidden && document.querySelector('.legend').hidden")


@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_no_width_needs_sideways_scrolling(chromium: Chromium, report: Path, width: int) -> None:
    page = chromium.open(report, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """(() => {
          const chart = document.getElementById('chart-session').getBoundingClientRect();
          return [...document.querySelectorAll('#chart-session svg text')]
            .filter((text) => text.getBoundingClientRect().right > chart.right + 1
              || text.getBoundingClientRect().left < chart.left - 1)
            .map((text) => text.textContent);
        })()"""
    )
    assert outside == []
    assert page.complaints == []


def test_a_phone_shows_a_row_as_a_card_with_its_labels(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report, width=390)
    cell = "document.querySelector('#tiers-session tbody td')"
    assert page.evaluate(f"getComputedStyle({cell}, '::before').content") == '"Asked"'
    assert chromium.open(report).evaluate(f"getComputedStyle({cell}, '::before').content") == "none"


@pytest.mark.parametrize("width", [320, 400])
def test_what_changed_stays_in_its_cells_on_a_phone(chromium: Chromium, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(facts_with("poll")), encoding="utf-8")
    beyond: list[float] = chromium.open(path, width=width).evaluate(
        """[...document.querySelectorAll('#changes tbody td, #changes tbody th')].map((cell) => {
          const words = document.createRange();
          words.selectNodeContents(cell);
          return words.getBoundingClientRect().right - cell.getBoundingClientRect().right;
        })"""
    )
    assert len(beyond) == 18
    assert max(beyond) <= 0.5


def contrast(page: Page, ink: str, paper: str) -> float:
    """The contrast of two of the page's colours after WCAG 2, from 1 to 21."""
    colours: list[Any] = page.evaluate(
        f"""['{ink}', '{paper}'].map((name) => {{
          const box = document.body.appendChild(document.createElement('i'));
          box.style.color = `var(${{name}})`;
          return getComputedStyle(box).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
        }})"""
    )

    return ratio(colours)


def ratio(colours: list[list[float]]) -> float:
    """The contrast of two colours, each red, green and blue up to 255."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(colour) for colour in colours), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_words_on_the_coloured_cells_can_be_read(chromium: Chromium, report: Path, dark: bool) -> None:
    page = chromium.open(report, dark=dark)
    assert page.evaluate("document.querySelectorAll('#heat-leaps .cell').length") == 16
    assert page.evaluate("document.querySelectorAll('#heat-leaps .long').length") == 6
    colours: list[list[float]] = page.evaluate(
        """(() => {
          const cell = document.querySelector('#heat-leaps .cell');
          cell.style.setProperty('--share', '100%');
          const seen = getComputedStyle(cell);
          const brush = document.createElement('canvas').getContext('2d');
          return [seen.color, seen.backgroundColor].map((colour) => {
            brush.fillStyle = colour;
            brush.fillRect(0, 0, 1, 1);
            return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
          });
        })()"""
    )
    assert colours[0] != colours[1]
    assert ratio(colours) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
def test_words_and_bars_stand_out_in_light_and_dark(chromium: Chromium, report: Path, dark: bool) -> None:
    page = chromium.open(report, dark=dark)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 27)") == dark
    for ink, paper in (
        ("--ink", "--card"),
        ("--muted", "--card"),
        ("--muted", "--paper"),
        ("--alarm", "--card"),
        ("--accent", "--card"),
        ("--yes-ink", "--yes"),
    ):
        assert contrast(page, ink, paper) >= 4.5, (ink, paper)
    for one, other in (("--yes", "--card"), ("--no", "--card"), ("--yes", "--silent")):
        assert contrast(page, one, other) >= 3, (one, other)


def test_times_are_said_in_the_viewers_zone_too(chromium: Chromium, report: Path) -> None:
    page = chromium.open(report, zone="Asia/Muscat")
    assert "Events from 1 Nov 2026, 20:30 UTC (2 Nov 2026, 00:30 your time)" in page.evaluate("document.body.innerText")
    assert "Asia/Muscat" in page.evaluate("document.body.innerText")
    assert "your time" not in chromium.open(report).evaluate("document.body.innerText")


@pytest.mark.parametrize("tiers", [2, 32])
def test_ladders_of_2_and_32_tiers_are_drawn_whole(chromium: Chromium, tmp_path: Path, tiers: int) -> None:
    names = tuple(f"tier {n}" for n in range(1, tiers + 1))
    rows = tuple(tier(n, name, 1000 - n, 500) for n, name in enumerate(names, 1))
    path = tmp_path / "report.html"
    path.write_text(
        render_report(
            replace(
                FACTS, ladder=Ladder("l", names, ()), per_session=rows, per_visitor=rows, asks=ask_facts("s", tiers)
            )
        )
    )
    page = chromium.open(path)
    words = drawn(page, "session")
    assert [word for word in words if " tier " in word] == [f"{n} tier {n}" for n in range(1, tiers + 1)]
    assert [str(1000 - n) in words for n in range(1, tiers + 1)] == [True] * tiers
    assert page.evaluate("document.documentElement.scrollWidth") <= 1100
    assert page.complaints == []


def test_zero_people_are_drawn_without_complaint(chromium: Chromium, tmp_path: Path) -> None:
    rows = tuple(tier(n, name, 0, 0) for n, name in enumerate(TIERS, 1))
    path = tmp_path / "report.html"
    path.write_text(render_report(replace(FACTS, per_session=rows, per_visitor=rows)))
    page = chromium.open(path)
    assert drawn(page, "session").count("nobody asked") == 4
    assert page.complaints == []


def test_the_bundle_runs_as_the_version_it_says(chromium: Chromium, report: Path) -> None:
    said = report.read_text().partition("/*! Apache ECharts ")[2].partition(",")[0]
    assert chromium.open(report).evaluate("echarts.version") == said


def test_the_example_in_the_docs_opens_from_the_disk(chromium: Chromium) -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "report-moodle-edify.html"
    for width in (1100, 400):
        page = chromium.open(example, width=width)
        assert page.complaints == []
        assert page.requests == [example.as_uri()]
        assert drawn(page, "session") != []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelectorAll('#changes .whisker .mark').length") == 5
