"""The dashboard as a person meets it: the real server over warehouses that were built, in Chromium."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import duckdb
import httpx
import pytest

from answers.funnel_file import load_funnels
from answers.funnel_question import ask
from tests.suites.command_line import Service, run_json
from tests.suites.dashboard_warehouses import HOSTILE, Shown, demo, hostile, simulated, with_alerts
from warehouse.alerts_table import show_alerts
from warehouse.people import MOST
from warehouse.quality import Gate

if TYPE_CHECKING:
    from tests.browser.chromium import Chromium, Page

pytestmark = pytest.mark.browser

WEEK = timedelta(days=7)

PAGES = (
    "ladder",
    "funnel",
    "leaps",
    "momentum",
    "hesitation",
    "value-first",
    "cheers",
    "walk",
    "health",
    "people",
    "alerts",
)


@dataclass
class Served:
    """A dashboard that runs, and the marts that it shows, read by other means than its own."""

    shown: Shown
    url: str
    marts: duckdb.DuckDBPyConnection

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.marts.execute(sql).fetchall()

    def get(self, address: str) -> httpx.Response:
        return httpx.get(f"{self.url}{address}", timeout=30)


@contextmanager
def serving(make: Callable[[Path, Gate], Shown], folder: Path, gate: Gate) -> Iterator[Served]:
    shown = with_alerts(make(folder, gate))
    options = ["--warehouse", folder, "--ladder", shown.ladder_file, "--port", 0, "--funnels", folder / "funnels.toml"]
    with Service("dashboard", *options, cwd=folder, log=folder / "dashboard.log") as service:
        service.until(lambda: "dashboard at " in service.words())
        url = service.words().rpartition("dashboard at ")[2].strip()
        with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as marts:
            yield Served(shown, url, marts)


@pytest.fixture(scope="module")
def shop(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard of the simulated shop."""
    with serving(simulated, tmp_path_factory.mktemp("shop"), gate) as served:
        yield served


@pytest.fixture(scope="module")
def course(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard of the demo's real students."""
    with serving(demo, tmp_path_factory.mktemp("course"), gate) as served:
        yield served


@pytest.fixture(scope="module")
def harmful(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard in which every name is out to do harm."""
    with serving(hostile, tmp_path_factory.mktemp("harmful"), gate) as served:
        yield served


@pytest.fixture(params=["shop", "course"])
def served(request: pytest.FixtureRequest) -> Served:
    found: Served = request.getfixturevalue(request.param)
    return found


def numbers(page: Page, selector: str) -> list[int]:
    texts: list[str] = page.evaluate(f"[...document.querySelectorAll({selector!r})].map((cell) => cell.innerText)")
    return [int(re.sub(r"[^0-9]", "", text.split("\n")[0])) for text in texts]


def cells(page: Page, table: str) -> list[list[str]]:
    """The words of a table's rows, cell by cell."""
    found: list[list[str]] = page.evaluate(
        f"[...document.querySelectorAll('{table} tbody tr')]"
        ".map((row) => [...row.children].map((cell) => cell.textContent.replace(/\\s+/g, ' ').trim()))"
    )
    return found


def first_number(text: str) -> int:
    return int(text.split()[0].replace(",", ""))


def address(served: Served, name: str) -> str:
    """Of a page that has something to show."""
    query = "?tier=2&outcome=asked" if name == "people" else ""
    if name == "alerts":
        query = "?alert=a1"
    if name == "funnel":
        steps = [("steps", f"tier:{tier}") for tier in served.shown.ladder.tiers[:3]]
        query = "?" + urlencode([*steps, ("by", "utm_source"), ("trend", "week")])
    return f"{served.url}/{name}{query}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_asks_nobody_else_and_can_be_used_by_everybody(
    chromium: Chromium, shop: Served, name: str
) -> None:
    page = chromium.open(address(shop, name), zone="Asia/Kolkata")
    assert page.complaints == []
    assert [request for request in page.requests if not request.startswith((shop.url + "/", "data:"))] == []
    assert page.faults() == []
    assert "your time)" in page.evaluate("document.querySelector('time').textContent")
    phone = chromium.open(address(shop, name), width=390, dark=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.complaints == []
    assert phone.faults() == []


@pytest.mark.parametrize("name", PAGES)
def test_names_that_are_out_to_do_harm_do_none(chromium: Chromium, harmful: Served, name: str) -> None:
    page = chromium.open(address(harmful, name))
    assert page.complaints == []
    assert [request for request in page.requests if not request.startswith((harmful.url + "/", "data:"))] == []
    assert page.evaluate("window.harmed") is None
    assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1100
    if name not in ("health", "walk"):
        assert HOSTILE[0][:14] in page.evaluate("document.querySelector('main').textContent")
    phone = chromium.open(address(harmful, name), width=390)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("unit", ["visitor", "session"])
def test_the_ladder_counts_what_the_marts_count(chromium: Chromium, served: Served, unit: str) -> None:
    page = chromium.open(f"{served.url}/ladder?unit={unit}")
    for column in ("asked", "yes", "no", "silent", "in_flight", "implicit", "reached"):
        wanted = dict(
            served.ask(
                f'select tier, sum("{column}")::bigint from fct_tier_dropoff'
                f" where unit = '{unit}' and segment = 'all' group by tier"
            )
        )
        found = numbers(page, f"#tiers td[data-is={column}]")
        assert found == [wanted.get(tier, 0) for tier in range(1, len(served.shown.ladder.tiers) + 1)], column
    drawn = page.evaluate(
        "[...document.querySelectorAll('[data-chart=flow] svg text')].map((t) => t.textContent).join(' ')"
    )
    ((asked,),) = served.ask(
        f"select sum(asked)::bigint from fct_tier_dropoff where unit = '{unit}' and segment = 'all' and tier = 1"
    )
    assert f"of {asked:,} said yes" in " ".join(drawn.split())


def test_every_number_of_the_ladder_leads_to_so_many_people(shop: Served) -> None:
    page = shop.get("/ladder").text
    links = re.findall(r'href="(/people\?[^"]*)">([0-9,]+)</a>', page)
    assert links
    for address, number in links[:: max(1, len(links) // 12)]:
        people = shop.get(address.replace("&amp;", "&")).text
        assert f"<h1>{number} visitor" in people
        count = int(number.replace(",", ""))
        assert people.count('<th scope="row"') == min(MOST, count)
        rows = list(
            csv.reader(io.StringIO(shop.get(address.replace("&amp;", "&").replace("/people?", "/people.csv?")).text))
        )
        assert len(rows) == count + 1
        assert len({row[0] for row in rows}) == count + 1


def test_a_click_on_what_was_lost_opens_its_people(chromium: Chromium, shop: Served) -> None:
    page = chromium.open(f"{shop.url}/ladder")
    silent = numbers(page, "#tiers td[data-is=silent]")
    tier = silent.index(max(silent))
    box = page.evaluate(
        "(() => { const bars = [...document.querySelectorAll('[data-chart=flow] svg path[fill=\"var(--silent)\"]')]"
        ".map((bar) => bar.getBoundingClientRect()); "
        f"const shown = {silent}.slice(0, {tier}).filter((number) => number > 0).length; const box = bars[shown];"
        " return {x: box.left + box.width / 2, y: box.top + box.height / 2}; })()"
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", **box)
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)
    page.wait_for("location.pathname === '/people' && document.readyState === 'complete'")
    assert page.evaluate("document.querySelector('h1').textContent").startswith(f"{silent[tier]:,} visitor")
    assert "outcome=silent" in page.evaluate("location.search")


def test_a_link_is_the_view(chromium: Chromium, shop: Served) -> None:
    ((first, last, value),) = shop.ask(
        "select min(date), max(date), max_by(segment_value, asked) from fct_tier_dropoff"
        " where segment = 'first_utm_source'"
    )
    view = {
        "ladder": shop.shown.ladder.name,
        "unit": "session",
        "since": str(first),
        "until": str(last),
        "segment": "utm_source",
        "value": value,
    }
    page = chromium.open(f"{shop.url}/ladder?{urlencode(view)}")
    wanted = shop.ask(
        "select coalesce(sum(asked), 0)::bigint from fct_tier_dropoff"
        " where unit = 'session' and segment = 'first_utm_source'"
        f" and segment_value = {quoted(value)} and date >= '{first}' and date < '{last}' and tier = 1"
    )
    asked = numbers(page, "#tiers td[data-is=asked]")
    assert asked[0] == wanted[0][0]
    form = {
        key: page.evaluate(f"document.getElementById('{key}').value") for key in ("unit", "since", "until", "segment")
    }
    assert form == {key: view[key] for key in form}
    for name in ("leaps", "momentum", "cheers", "walk", "health", "funnel"):
        link = page.evaluate(f"document.querySelector('nav a[href^=\"/{name}\"]').getAttribute('href')")
        assert dict(parse_qsl(urlsplit(link).query, keep_blank_values=True)) == view
    page.follow("document.querySelector('form.view button').click()")
    assert page.evaluate("location.pathname") == "/ladder"
    given = dict(parse_qsl(page.evaluate("location.search.slice(1)"), keep_blank_values=True))
    assert {key: given[key] for key in form} == form


def test_the_days_before_are_told_from_these(chromium: Chromium, shop: Served) -> None:
    ((last,),) = shop.ask("select max(date)::date from fct_tier_dropoff where segment = 'all' and unit = 'visitor'")
    page = chromium.open(f"{shop.url}/ladder?since={last - WEEK}&until={last}")
    wanted = dict(
        shop.ask(
            "select tier, sum(asked)::bigint from fct_tier_dropoff where unit = 'visitor' and segment = 'all'"
            f" and date >= '{last - 2 * WEEK}' and date < '{last - WEEK}' group by tier"
        )
    )
    for row in cells(page, "#changes"):
        tier = int(row[0][0])
        if len(row) > 2:
            assert first_number(row[1]) == wanted[tier]


def test_the_leaps_are_those_of_the_marts(chromium: Chromium, served: Served) -> None:
    page = chromium.open(f"{served.url}/leaps")
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#heat-leaps .cell')].map((cell) => cell.lastElementChild.textContent)"
    )
    wanted = served.ask(
        "select sum(asks)::bigint, sum(lost)::bigint from fct_leaps where unit = 'visitor' and segment = 'all'"
        " group by held_tier, tier having sum(asks) > 0 order by held_tier, tier"
    )
    said = [f"{asks:,} asks" + (f", {lost:,} lost" if lost else "") for asks, lost in wanted]
    assert [" ".join(text.split()) for text in found] == said


def test_momentum_hesitation_value_and_cheers_are_those_of_the_marts(chromium: Chromium, served: Served) -> None:
    momentum = chromium.open(f"{served.url}/momentum")
    wanted = served.ask(
        "select sum(asks)::bigint from fct_momentum where unit = 'visitor' and segment = 'all'"
        " and grouped_by = 'earlier yeses' group by bucket order by bucket"
    )
    assert [first_number(row[1]) for row in cells(momentum, "#momentum-1")] == [asks for (asks,) in wanted]

    answers = served.ask(
        "select sum(answers)::bigint from fct_hesitation where unit = 'visitor' and segment = 'all'"
        " group by tier, step order by tier, step"
    )
    assert [first_number(row[2]) for row in cells(chromium.open(f"{served.url}/hesitation"), "#hesitation")] == [
        number for (number,) in answers
    ]

    starts = served.ask(
        "select sum(units)::bigint from fct_starts where unit = 'visitor' and segment = 'all'"
        " group by start having sum(units) > 0"
    )
    begun = cells(chromium.open(f"{served.url}/value-first"), "#starts")
    assert sorted(first_number(row[1]) for row in begun) == sorted(units for (units,) in starts)

    yeses = served.ask(
        "select sum(yeses)::bigint from fct_after_yes where unit = 'visitor' and segment = 'all'"
        " group by tier, step order by tier, step"
    )
    cheers = cells(chromium.open(f"{served.url}/cheers"), "#after-yes")
    assert [first_number(row[2]) for row in cheers] == [number for (number,) in yeses]


def test_the_walk_has_every_ask_of_its_visitor(chromium: Chromium, served: Served) -> None:
    ((visitor, asks),) = served.ask("select visitor_id, asks from dim_visitors order by asks desc, visitor_id limit 1")
    page = chromium.open(f"{served.url}/walk?{urlencode({'person': visitor})}")
    shown = page.evaluate(
        "[...document.querySelectorAll('.walked td:nth-child(2)')]"
        ".filter((t) => t.textContent.trim() === 'asked').length"
    )
    assert shown == asks
    assert page.evaluate("document.querySelector('h1 bdi').textContent")[:79] == visitor[:79]


def test_data_health_counts_the_lake(chromium: Chromium, served: Served) -> None:
    page = chromium.open(f"{served.url}/health")
    ((landed,),) = served.ask("select count(distinct event_id) from lake.events")
    ((late,),) = served.ask("select count(*) from lake.events where late")
    rejected = served.ask("select reason, count(*) from lake.rejects group by reason order by count(*) desc, reason")
    ((duplicates,),) = served.ask("select sum(duplicates)::bigint from lake.checkpoints")
    tiles = [numbers(page, f"[data-is={name}]") for name in ("landed", "duplicates", "rejected", "late")]
    assert tiles == [[landed], [duplicates], [sum(number for _, number in rejected)], [late]]
    assert [(row[0], first_number(row[2])) for row in cells(page, "#rejected")] == rejected
    docs = page.evaluate("document.querySelector('#batches a').getAttribute('href')")
    told = served.get(docs)
    assert told.status_code == 200
    assert "script-src" not in told.headers["content-security-policy"]
    for outside in ("/quality/../lake/events.html", "/quality/%2e%2e/marts.duckdb", "/quality/verdict.json"):
        assert served.get(outside).status_code == 404


def test_a_funnel_is_built_told_in_other_words_saved_and_found_again(chromium: Chromium, shop: Served) -> None:
    steps = [f"tier:{name}{role}" for name, role in zip(shop.shown.ladder.tiers[:2], (":ask", ""), strict=True)]
    page = chromium.open(f"{shop.url}/funnel")
    for number, step in enumerate(steps, start=1):
        page.evaluate(f"document.getElementById('step-{number}').value = {js(step)}")
    page.evaluate("document.getElementById('by').value = 'utm_source'; document.getElementById('trend').value = 'week'")
    page.follow("document.querySelector('.builder button').click()")
    counted = numbers(page, "#steps td[data-is=count]")
    command = page.evaluate("document.querySelector('pre[aria-label=\"The command\"]').textContent")
    told = run_json(*shlex.split(command)[1:], "--ladder", shop.shown.ladder_file, cwd=shop.shown.folder)
    assert counted == [step["count"] for step in told["steps"]]
    assert page.complaints == []
    sql = page.evaluate("document.querySelector('pre[aria-label=\"The SQL\"]').textContent")
    assert [units for _, _, units in shop.ask(sql)] == counted
    of_values = [first_number(row[1]) for row in cells(page, "#by")]
    assert sum(of_values) == counted[0]
    link = page.evaluate("document.querySelector('a[href^=\"/funnel.csv\"]').href")
    rows = list(csv.DictReader(io.StringIO(httpx.get(link, timeout=30).text)))
    assert [int(row["count"]) for row in rows[:2]] == counted
    page.evaluate("document.getElementById('name').value = 'my first'")
    page.follow("document.querySelector('form[method=post] button').click()")
    assert "saved=my+first" in page.evaluate("location.search")
    assert numbers(page, "#steps td[data-is=count]") == counted
    kept = load_funnels(shop.shown.folder / "funnels.toml")["my first"]
    assert kept == ask(steps, by="utm_source", trend="week")
    again = httpx.post(f"{shop.url}/funnel/save?{urlencode({'steps': steps[0]})}", data={"name": "my first"})
    assert (again.status_code, "already" in again.text) == (400, True)
    from_elsewhere = httpx.post(
        f"{shop.url}/funnel/save?steps=x", data={"name": "theirs"}, headers={"origin": "http://evil.example"}
    )
    assert from_elsewhere.status_code == 403


@pytest.mark.parametrize(
    ("query", "began"),
    [
        ("steps=tier:spark", True),
        ("steps=tier:spark&steps=No+Such+Event", True),
        ("steps=tier:spark&steps=tier:micro&since=2000-01-01&until=2000-02-01", False),
    ],
)
def test_a_funnel_that_nobody_goes_on_in_is_told_like_any_other(shop: Served, query: str, began: bool) -> None:
    answer = shop.get(f"/funnel?{query}")
    assert answer.status_code == 200
    assert ("Nobody yet" in answer.text) is not began


def test_where_a_funnel_does_not_follow_the_address_the_page_says_so(shop: Served) -> None:
    steps = "steps=tier:spark&steps=tier:micro"
    assert "Of everybody" in shop.get(f"/funnel?{steps}&segment=utm_source&value=google").text
    assert "Of everybody" not in shop.get(f"/funnel?{steps}").text


def test_alerts_are_those_of_the_lake(chromium: Chromium, shop: Served) -> None:
    listed = cells(chromium.open(f"{shop.url}/alerts"), "#alerts")
    assert [(row[4], row[5]) for row in listed] == [("about 31", "open"), ("about 180", "over")]
    one = chromium.open(f"{shop.url}/alerts/a1")
    assert cells(one, "#carriers") == [["utm_source = google", "about 29 20 to 38", "94.0%"]]
    assert [row[1] for row in cells(one, "#notice-table")] == ["as usual again", "it was raised"]
    wanted = shop.ask(
        "select asked_date::varchar, count(*), count(*) filter (answer_seconds <= 3600 and answer = 'yes')"
        " from fct_asks where unit = 'visitor' and tier = 5 group by asked_date"
    )
    rates = {row[0]: row[1].split()[0] for row in cells(chromium.open(f"{shop.url}/alerts/a2"), "#around-table")}
    shown = {day: float(rate.rstrip("%")) for day, rate in rates.items() if rate != "nobody"}
    assert len(shown) > 10
    assert shown == {day: round(100 * yes / asked, 1) for day, asked, yes in wanted if asked and day in rates}


def test_the_hour_before_an_alert_was_told_is_that_of_the_table(chromium: Chromium, shop: Served) -> None:
    with duckdb.connect() as lake:
        show_alerts(lake, shop.shown.folder)
        [(series,)] = lake.execute("select series from alerts where alert_id = 'a1' and what = 'raised'").fetchall()
    wanted = []
    for one in json.loads(series):
        clock = datetime.fromtimestamp(one["minute"] * 60, UTC).strftime("%H:%M")
        by_chance = [max(0.0, one["expected"] + sign * 1.96 * one["expected"] ** 0.5) for sign in (-1, 1)]
        wanted.append([clock, f"{one['came']:.0f}", f"{one['expected']:.2f}", "{:.1f} to {:.1f}".format(*by_chance)])
    page = chromium.open(f"{shop.url}/alerts/a1")
    assert cells(page, "#hour-table") == wanted
    assert len(wanted) == 61
    drawn = page.evaluate("document.querySelector('[data-chart=hour] svg').textContent")
    assert "the fall began" in drawn
    assert wanted[0][0] in drawn


def test_csv_holds_no_formula(harmful: Served) -> None:
    steps = urlencode([("steps", f"tier:{name}:ask") for name in harmful.shown.ladder.tiers[:3]])
    text = harmful.get(f"/funnel.csv?{steps}&by=utm_source").text + harmful.get("/people.csv?tier=1").text
    found = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert any(cell.startswith("'=HYPERLINK") for cell in found)
    assert [cell for cell in found if cell.lstrip().startswith(("=", "+", "@"))] == []


def test_without_scripts_the_numbers_and_the_form_are_all_there(chromium: Chromium, shop: Served) -> None:
    page = chromium.open(f"{shop.url}/ladder", scripts=False)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(numbers(page, "#tiers td[data-is=asked]")) == len(shop.shown.ladder.tiers)
    assert page.evaluate("document.querySelectorAll('.chart svg').length") == 0
    page.follow("document.getElementById('unit').value = 'session'; document.querySelector('form.view button').click()")
    assert "unit=session" in page.evaluate("location.search")


def test_what_is_wrong_in_an_address_is_told_in_a_page(chromium: Chromium, shop: Served) -> None:
    for address in (
        "ladder?since=soon",
        "people?tier=99",
        "people?outcome=x",
        "walk?person=nobody",
        "ladder?ladder=none",
        "funnel?saved=none",
        "nowhere",
        "quality/%00.html",
        f"quality/{'a' * 300}.html",
    ):
        answer = shop.get(f"/{address}")
        assert answer.status_code in (400, 404)
        assert "<h1>" in answer.text
    assert shop.get("/ladder?since=2026-01-01&until=4100-01-01").status_code == 200
    page = chromium.open(f"{shop.url}/ladder?since={HOSTILE[0]}")
    assert page.evaluate("window.harmed") is None
    assert page.faults() == []


def test_every_answer_says_what_may_run_in_it(shop: Served) -> None:
    for address in ("/", "/ladder", "/assets/dashboard.js", "/nowhere", "/funnel.csv"):
        headers = shop.get(address).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"].partition("style-src-attr")[0]
        assert headers["x-content-type-options"] == "nosniff"
    other = httpx.get(f"{shop.url}/ladder", headers={"host": "evil.example"})
    assert other.status_code == 421
    assert "script-src 'self'" in other.headers["content-security-policy"]


def js(text: str) -> str:
    return json.dumps(text)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
