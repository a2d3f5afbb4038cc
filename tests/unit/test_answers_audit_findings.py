"""What the audit says: what its facts carry, and nothing where there are none."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from answers.audit_document import audit_document
from answers.audit_facts import Answer, Audit, AuditFacts, Friction
from answers.audit_findings import audits
from answers.audit_json import AuditSaid
from answers.audit_page import render_audit
from answers.audit_text import AuditText
from answers.markdown import markdown
from answers.sections.audit import audit_section
from ladder.rates import wilson
from ladder.tiers import Ladder
from tests.suites.audited import cheers, facts, in_order, ladder, starts, way
from warehouse.stands import Stands
from warehouse.too_soon import Asked, AskedStep, TooSoon

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVEN = (0.80, 0.74, 0.67, 0.59, 0.51)


def audit(own: AuditFacts, of: Ladder | None = None) -> Audit:
    return audits([own], of or ladder())[0]


def answer(question: str, own: AuditFacts, of: Ladder | None = None) -> Answer:
    return next(one for one in audit(own, of).answers if one.question == question)


def points(own: AuditFacts, of: Ladder) -> list[Friction]:
    return list(audit(own, of).frictions)


def test_where_nothing_is_known_nothing_is_said() -> None:
    found = audit(AuditFacts())
    assert [one.verdict for one in found.answers] == ["not enough data"] * 4
    assert (found.visitors, found.frictions, found.transitions, found.compared) == (0, (), (), 0)
    assert all(one.said and not one.sessions for one in found.answers)
    assert audit_section(found) is None
    assert audit_section(None) is None


@pytest.mark.parametrize(
    ("surprised", "verdict"),
    [
        ((1000, 400), "yes"),
        ((1000, 10), "no"),
        ((1000, 150), "partly"),
        ((1000, 255), "not enough data"),
        ((8, 1), "not enough data"),
        ((0, 0), "not enough data"),
    ],
)
def test_a_big_ask_is_a_matter_of_how_many_met_one(surprised: tuple[int, int], verdict: str) -> None:
    found = answer("big_ask", facts(surprised=surprised))
    assert found.verdict == verdict
    assert [(one.counted, one.of) for one in found.evidence] == [(surprised[1], surprised[0])]
    assert (found.evidence[0].share, found.evidence[0].low, found.evidence[0].high) == wilson(*reversed(surprised))


def test_an_answer_that_is_open_says_between_what() -> None:
    assert answer("big_ask", facts(surprised=(1000, 255))).said[-1] == "Of too few to say: it may be partly or yes."
    assert answer("big_ask", facts(surprised=(8, 1))).said[-1] == "Of too few to say: it may be no, partly or yes."


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (starts(gives=900, takes=100), "yes"),
        (starts(gives=100, takes=900), "no"),
        (starts(gives=500, takes=500), "partly"),
        (starts(both=1000), "partly"),
        (starts(gives=100, both=850, takes=50), "partly"),
        (starts(gives=7, takes=1), "not enough data"),
        (starts(neither=1000), "not enough data"),
        (None, "not enough data"),
    ],
)
def test_what_gives_and_takes_at_once_is_neither_yes_nor_no(value: Any, verdict: str) -> None:
    assert answer("value_first", facts(value=value)).verdict == verdict


def test_wins_are_yeses_above_the_lowest_tier() -> None:
    of_all = (cheers(1, 10_000, 0), cheers(2, 500, 480), cheers(3, 500, 470))
    assert answer("celebrated", facts(after_yes=of_all)).verdict == "yes"
    assert answer("celebrated", facts(after_yes=(*of_all[:2], cheers(3, 500, 0)))).verdict == "partly"
    assert answer("celebrated", facts(after_yes=(cheers(2, 500, 3),))).verdict == "no"
    assert answer("celebrated", facts(after_yes=(cheers(1, 500, 500),))).verdict == "not enough data"


def test_without_a_cheer_on_the_ladder_nobody_can_tell_whether_wins_are_celebrated() -> None:
    own = facts(after_yes=(cheers(2, 500, 0, has_cheer=False),), witnesses={"uncheered": ("a@1",)})
    found = answer("celebrated", own, ladder(roles=("ask", "yes")))
    assert (found.verdict, found.evidence, found.sessions) == ("not enough data", (), ())
    assert found.said[0].startswith("The ladder names no event for a cheer")
    assert answer("celebrated", own).verdict == "no"


def test_each_step_follows_where_people_come_in_order_and_none_is_steep() -> None:
    assert answer("each_step", facts(in_order(*EVEN))).verdict == "yes"
    steep = answer("each_step", facts(in_order(0.8, 0.74, 0.2, 0.59, 0.51)))
    assert steep.verdict == "partly"
    assert "1 of 4 do not follow: mini (after micro)." in steep.said
    assert "“sign up” is a friction point for those who hold micro." in steep.said
    assert steep.sessions[0] == "s23@1"
    early = facts((*in_order(*EVEN, asked=400), way(0, 3, 4000, 2600)))
    assert answer("each_step", early).verdict == "partly"
    assert any(said.startswith("Of 4,400 visitors asked for mini, 400 held micro") for said in
               answer("each_step", early).said)  # fmt: skip
    assert answer("each_step", facts(in_order(*EVEN, asked=2))).verdict == "not enough data"


def test_the_lowest_tier_follows_on_nothing_and_is_not_counted_as_if_it_did() -> None:
    only = answer("each_step", facts((way(0, 1, 100_000, 80_000),)))
    assert (only.verdict, only.evidence) == ("not enough data", ())
    assert only.said == ("No ask for more than somebody held, above spark, has had its time to be answered yet.",)
    half = answer("each_step", facts(in_order(*EVEN)[:2]))
    assert half.said == ("1 of 1 follow from the step before: micro (after spark).",)


def test_those_who_came_back_are_asked_too_though_nobody_is_new() -> None:
    found = audit(facts(surprised=(112, 1), visitors=112, stands=Stands(0, (), ())))
    assert found.visitors == 112
    assert audit_section(found) is not None
    assert found.answers[1].said == ("There is no start to judge: nobody new has met anything that gives or takes.",)
    out = StringIO()
    Console(file=out, width=200).print(AuditText(found, "week"))
    assert "Audit of the ladder week: 112 visitors" in out.getvalue()
    assert "Of 112 visitors asked for anything above spark, 1 was asked at least once" in out.getvalue()


def test_one_of_a_kind_is_said_in_the_singular() -> None:
    found = audit(
        facts((way(0, 1, 5, 3),), surprised=(1, 1), value=starts(gives=1), after_yes=(cheers(2, 1, 1),), visitors=1)
    )
    said = [sentence for one in found.answers for sentence in one.said]
    assert "Of 1 visitor asked for anything above spark, 1 was asked" in said[0]
    assert any(sentence.startswith("Of 1 visitor, 1 began with") for sentence in said)
    assert any(sentence.startswith("Of 1 yes above spark, 1 was cheered") for sentence in said)
    out = StringIO()
    Console(file=out, width=200).print(AuditText(found, "one"))
    assert "Audit of the ladder one: 1 visitor\n" in out.getvalue()
    assert "Of 1 further leap nothing can be said" in out.getvalue()
    assert audit_document(found, {}, "one", None, NOW).about[0] == "1 visitor"
    assert "<b>1</b> visitor</p>" in render_audit(found, {}, "one", None, NOW)


def test_a_step_over_an_empty_tier_does_not_follow() -> None:
    of = ladder(("read", "", "sign up", "", "buy"))
    own = facts((way(0, 1, 900, 800), way(1, 3, 900, 600), way(3, 5, 900, 500)))
    found = answer("each_step", own, of)
    assert found.verdict == "no"
    assert any(said.endswith("The ladder has no yes of micro.") for said in found.said)


def test_a_transition_tells_the_stage_that_a_yes_makes() -> None:
    found = audit(facts(in_order(*EVEN))).transitions
    assert [(one.held, one.name, one.held_stage, one.stage) for one in found] == [
        ("spark", "micro", "aware", "aware"),
        ("micro", "mini", "aware", "evaluating"),
        ("mini", "midi", "evaluating", "evaluating"),
        ("midi", "macro", "evaluating", "committed"),
    ]


def test_a_named_point_has_the_step_that_is_lacking_and_a_plain_leap_what_lies_between() -> None:
    of = ladder(("read", "vote", "leave your e-mail", "book a demo", "buy"))
    cold = (*in_order(*EVEN)[:2], way(2, 3, 9000, 6000, "leave your e-mail"), way(0, 3, 9000, 900, "leave your e-mail"),
            way(3, 4, 9000, 5000, "book a demo"), *in_order(*EVEN)[4:])  # fmt: skip
    (found,) = points(facts(cold), of)
    assert (found.kind, found.title, found.held, found.name) == (
        "cold lead",
        "Cold lead asked for an e-mail",
        "nothing",
        "mini",
    )
    assert found.there == ("vote",)
    assert found.lacks.endswith("The ladder has “vote”, but only 0 of the 9,000 people asked had done it before.")
    assert found.sessions == ("s03@1",)
    plain = ladder(("read", "tap", "join", "try", "buy"))
    joined = tuple(replace(one, step=plain.rules[3 * one.tier - 3].marks[0].step) for one in cold)
    (leap,) = points(facts(joined), plain)
    assert (leap.kind, leap.title) == ("leap", "A steep leap from nothing to mini")
    assert leap.lacks == (
        "A smaller yes first: the ladder has “read” (spark) or “tap” (micro) between nothing and mini."
    )


def test_the_surest_point_is_told_first() -> None:
    lows = [one.odds_times_lower_low for one in hostile("plain")[0].frictions]
    assert len(lows) == 2
    assert lows[0] > lows[1] > 1.5


def test_who_had_the_step_in_between_does_not_lack_it() -> None:
    of = ladder(("read", "watch the video", "sign up", "book a demo", "buy"))
    for bridged, kind in ((8000, "leap"), (4500, "demo anxiety"), (100, "demo anxiety")):
        ways = (
            way(0, 1, 9000, 7200), way(1, 2, 9000, 6700, "watch the video"), way(2, 3, 9000, 6000),
            way(3, 4, 9000, 900, "book a demo", bridged=bridged), way(4, 5, 9000, 4500),
        )  # fmt: skip
        (found,) = points(facts(ways), of)
        assert (found.kind, found.bridged) == (kind, bridged)


def test_all_values_of_a_segment_are_one_family_of_comparisons() -> None:
    dent = facts(in_order(0.8, 0.74, 0.67, 0.59 * 0.55, 0.51, asked=400))
    assert [one.kind for one in audits([dent], ladder())[0].frictions] == ["leap"]
    many = audits([dent] * 150, ladder())
    assert {one.family for one in many} == {750}
    assert all(one.compared == 5 and one.frictions == () for one in many)


def test_asks_too_soon_are_told_against_those_in_order() -> None:
    step = AskedStep(3, "sign up", 500, 50, 0, 450, 0, 44, *wilson(50, 500), *wilson(44, 500))
    soon = TooSoon("", Asked(500, 50, 44, 0, *wilson(50, 500), *wilson(44, 500)),
                   Asked(500, 250, 44, 0, *wilson(250, 500), *wilson(44, 500)),
                   -0.4, -0.45, -0.35, 0.0, -0.1, 0.1, (step,), ())  # fmt: skip
    found = answer("big_ask", facts(surprised=(1000, 400), too_soon=soon))
    assert found.said[1:] == (
        "Most often it was “sign up” (mini): 500 asks.",
        "Asks too soon got a yes in 10.0%, asks in order in 50.0%: 40.0 points less (35.0 to 45.0).",
    )


HOSTILE = (
    "<script>alert(1)</script>[x](https://evil.example) ![i](https://evil.example/x.png) `|` **b** "
    "\u202e\u2066\x1b[31m\r\n# h www.evil.example a@evil.example &lt; =1+1 ' \" -- ; drop table"
)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


def hostile(name: str) -> tuple[Audit, Ladder]:
    """Everything there is a name for has this one."""
    of = ladder(
        (f"read {name}", f"vote {name}", f"e-mail {name}", f"demo {name}", f"buy {name}"),
        tiers=tuple(f"{n} {name}" for n in range(5)),
    )
    steps = {mark.tier: mark.step for rule in of.rules for mark in rule.marks}
    ways = tuple(
        replace(one, step=steps[one.tier], sessions=(f"{name}@1",))
        for one in (*in_order(0.8, 0.74, 0.67, 0.1, 0.51), way(0, 3, 9000, 300))
    )
    own = facts(ways, surprised=(100, 50), value=starts(gives=10), witnesses={"too soon": (f"{name}@1",)})
    return audit(own, of), replace(of, name=name)


@pytest.mark.parametrize("name", [HOSTILE, "x" * 10_000, "شراء الآن", "🛒" * 50, "`" * 9])
def test_hostile_names_are_harmless_wherever_they_show(name: str) -> None:
    found, of = hostile(name)
    plain, plain_ladder = hostile("plain")
    assert {one.kind for one in found.frictions} == {one.kind for one in plain.frictions} != set()
    page = _Elements()
    page.feed(render_audit(found, {name: found}, of.name, "utm_source", NOW))
    same = _Elements()
    same.feed(render_audit(plain, {"plain": plain}, plain_ladder.name, "utm_source", NOW))
    assert page.found == same.found
    assert "script" not in page.found
    text = markdown(audit_document(found, {name: found}, of.name, "utm_source", NOW))
    same_text = markdown(audit_document(plain, {"plain": plain}, plain_ladder.name, "utm_source", NOW))
    assert [line[:1] for line in text.splitlines()] == [line[:1] for line in same_text.splitlines()]
    assert re.search(r"(?<!\\)<", text) is None
    assert re.search(r"(?<!\\)\]\(", text) is None
    assert "\u202e" not in text
    out = StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system="standard")
    console.print(AuditText(found, of.name, name))
    assert "\x1b[31m\r" not in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_a_name_of_any_length_leaves_the_sentences_readable() -> None:
    found, _ = hostile("x" * 10_000)
    assert max(len(said) for one in found.answers for said in one.said) < 1000
    assert max(len(one.said) for one in found.frictions) < 400


def test_what_looks_like_the_terminals_markup_is_shown_as_it_is() -> None:
    found, of = hostile("[b]x[/b]")
    out = StringIO()
    Console(file=out, width=400).print(AuditText(found, of.name, "[red]y"))
    text = out.getvalue()
    assert "Audit of the ladder [b]x[/b], [red]y: 1,000 visitors" in text
    assert "“e-mail [b]x[/b]” is a friction point" in text or "“demo [b]x[/b]” is a friction point" in text
    assert "[b]x[/b]@1" in text


def test_the_json_is_what_its_schema_says() -> None:
    found, of = hostile(HOSTILE)
    said = AuditSaid(1, of.name, NOW.date(), None, "utm_source", None, None, found, {HOSTILE: found})
    assert msgspec.convert(json.loads(json.dumps(asdict(said), default=str)), AuditSaid) == said


def test_every_reading_says_the_four_verdicts_and_every_point() -> None:
    found, of = hostile("plain")
    out = StringIO()
    Console(file=out, width=200).print(AuditText(found, of.name))
    text = " ".join(out.getvalue().split())
    document = markdown(audit_document(found, {}, of.name, None, NOW))
    page = render_audit(found, {}, of.name, None, NOW)
    for one in found.answers:
        assert f"{one.title} {one.verdict}" in text
        assert f"{one.title} {one.verdict.capitalize()}." in document
        assert one.title in page
    assert len(found.frictions) == 2
    for point in found.frictions:
        assert point.title in text
        assert point.title in document
        assert point.title in page
        assert f"{point.odds_times_lower:.1f} times" in text
