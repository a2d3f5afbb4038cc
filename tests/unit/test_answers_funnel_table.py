from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

from rich.console import Console

from answers.funnel_answer import Answer
from answers.funnel_question import ask
from answers.funnel_table import FunnelTable, as_csv, headline
from tests.suites.funnel_asked import BEGIN, SECOND, answer_of
from tests.suites.funnel_oracle import Happened


def people(way: str, number: int, *, pause_s: int = 30, **properties: Any) -> list[Happened]:
    """So many visitors who all go this way, a letter an event."""
    return [
        Happened(f"{way}{n}", place * pause_s, name, dict(properties))
        for n in range(number)
        for place, name in enumerate(way)
    ]


EVENTS = people("ABC", 30, plan="pro") + people("AB", 50, plan="free") + people("A", 20)


def found(**options: Any) -> Answer:
    return answer_of(EVENTS, ask(options.pop("steps", ["A", "B", "C"]), **options), measure=SECOND)


def printed(answer: Answer, *, encoding: str = "utf-8", width: int = 80, histogram: bool = False) -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    Console(file=out, width=width, color_system=None).print(FunnelTable(answer, histogram=histogram))
    out.seek(0)
    return [line.rstrip() for line in out.read().splitlines()]


def test_the_table_says_how_many_came_how_surely_and_how_fast() -> None:
    lines = printed(found())
    assert lines[:2] == ["Funnel per visitor", "Steps in this order, within 14d of the first."]
    assert lines[lines.index("") + 1 :] == [
        "   step  visitors  of prev.  95% interval    of 1st  median   p90",
        "1  A          100                              100%",
        "2  B           80     80.0%  71.1% to 86.7%   80.0%    30 s  30 s",
        "3  C           30     37.5%  27.7% to 48.5%   30.0%    30 s  30 s",
    ]


def test_the_headline_says_how_many_went_all_the_way_and_where_most_are_lost() -> None:
    assert headline(found()) == (
        "100 visitors began, 30 went all the way (30.0%, 95% interval 21.9% to 39.6%). "
        "The largest share of a step is lost before 'C': 50, 62.5%."
    )
    assert headline(found(steps=["A"])) == "100 visitors began."
    assert headline(found(steps=["A", "B"], where="plan = 'pro'")) == (
        "30 visitors began, 30 went all the way (100%, 95% interval 88.6% to 100%)."
    )
    assert headline(found(steps=["Z", "A"])).startswith("No visitor began it: nobody did 'Z'")


def test_values_stand_below_with_what_they_add_up_to() -> None:
    lines = printed(found(by="plan"))
    assert lines[lines.index("plan    step 1  step 2  step 3  1 to 3  95% interval") + 1 :][:3] == [
        "free        50      50       0      0%  0% to 7.1%",
        "pro         30      30      30    100%  88.6% to 100%",
        "(none)      20       0       0      0%  0% to 16.1%",
    ]
    assert "add up to the total" in " ".join(lines)
    assert "need not add up to the total" in " ".join(printed(found(by="plan", attribution="all")))


def test_an_optional_step_is_marked_and_explained() -> None:
    lines = printed(found(optional=[2]))
    assert any(line.startswith("2?  B") for line in lines)
    assert any(line.startswith("?: optional") for line in lines)


def test_a_histogram_shows_how_the_times_are_spread() -> None:
    lines = printed(found(), histogram=True)
    assert "How long to B, from the step before" in lines
    assert any(line.split() == ["10", "s", "to", "1.0", "min", "80", "#" * 30] for line in lines)


def test_the_ids_of_a_step_are_listed() -> None:
    question = ask(["A", "B", "C"])
    lines = printed(answer_of(people("ABC", 2), question, measure=SECOND, listed=3))
    assert lines[-3:] == ["At step 3: 2", "ABC0", "ABC1"]


def test_the_table_goes_through_any_terminal() -> None:
    lines = printed(found(by="plan", steps=["A", "B"]), encoding="ascii", histogram=True)
    assert max(len(line) for line in lines) <= 80


def test_a_name_cannot_give_the_terminal_orders() -> None:
    lines = printed(answer_of([Happened("v", 0, "\x1b[31m[bold]A")], ask(["\x1b[31m[bold]A"]), measure=SECOND))
    assert not any("\x1b" in line for line in lines)
    assert any("[31m[bold]A" in line for line in lines)


def test_csv_holds_all_rows_and_nothing_that_a_spreadsheet_would_run() -> None:
    events = [Happened("v", 0, "=1+1", {"p": "@SUM(A1)"}), Happened("v", 1, "-B", {"p": "x"})]
    rows = list(csv.DictReader(io.StringIO(as_csv(answer_of(events, ask(["=1+1", "-B"], by="p"), measure=SECOND)))))
    assert [(row["value"], row["step"], row["name"], row["count"]) for row in rows] == [
        ("", "1", "'=1+1", "1"),
        ("", "2", "'-B", "1"),
        ("'@SUM(A1)", "1", "'=1+1", "1"),
        ("'@SUM(A1)", "2", "'-B", "1"),
    ]
    assert (rows[0]["median_seconds"], rows[1]["median_seconds"]) == ("", "1.0")


def test_json_holds_the_contracts_keys() -> None:
    question = ask(["A", "B"], by="plan")
    said = answer_of(EVENTS, question, measure=SECOND, listed=2).to_dict(histogram=True)
    assert (said["unit"], sorted(said["by"])) == ("visitor", ["(none)", "free", "pro"])
    assert said["by_adds_up"] is True
    assert found(by="plan", attribution="all").to_dict()["by_adds_up"] is False
    first, second = said["steps"]
    assert {"step": 1, "name": "A", "count": 100, "from_previous": 1.0, "from_first": 1.0}.items() <= first.items()
    assert {"step": 2, "name": "B", "count": 80, "from_previous": 0.8, "from_first": 0.8}.items() <= second.items()
    assert (first["median_seconds"], first["mean_seconds"]) == (None, None)
    assert (second["median_seconds"], second["mean_seconds"], second["p90_seconds"]) == (30.0, 30.0, 30.0)
    assert "units" not in first
    assert len(second["units"]) == 80
    assert sum(bar["count"] for bar in second["histogram"]) == 80
    assert second["histogram"][-1] == {"from_seconds": 604_800, "to_seconds": None, "count": 0}


def test_a_trend_sets_apart_who_is_still_on_the_way() -> None:
    late = [Happened(f"late {event.unit}", event.at + 86_400, event.name) for event in EVENTS]
    question = ask(["A", "B", "C"], window="1h", trend="day")
    answer = answer_of(EVENTS + late, question, measure=SECOND, as_of=BEGIN + timedelta(days=1, hours=1))
    lines = printed(answer)
    assert lines[lines.index("day of entry  matured  step 3  1 to 3  95% interval    in flight") + 1 :][:3] == [
        "2026-03-28        100      30   30.0%  21.9% to 39.6%          0",
        "2026-03-29          0       0      0%  0% to 100%            100  immature",
        "Shares are of those whose window has passed by the newest event; the others are",
    ]
    first, second = answer.to_dict()["trend"]
    assert (first["period"], first["mature"], first["steps"][2]["count"], first["in_flight"]) == (
        "2026-03-28",
        True,
        30,
        [0, 0, 0],
    )
    assert (second["mature"], second["in_flight"]) == (False, [100, 80, 30])
