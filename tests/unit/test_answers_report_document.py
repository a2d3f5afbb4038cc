"""The report as Markdown, PDF and pictures; and that no name in it can do harm there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len

from answers.charts import picture
from answers.document import Answers, Bullets, Heading, Heat, Table, Whiskers
from answers.harmless import LONGEST, harmless, harmless_name, one_line
from answers.markdown import escaped, markdown
from answers.pdf import pdf
from answers.report import render_report
from answers.report_document import in_short, report_document, title
from answers.sections.changes import LATE_YES_COUNTS
from tests.suites.hostile_names import HOSTILE
from tests.suites.named_facts import facts_with

PLAIN = facts_with("poll")


def test_each_question_has_its_words_its_numbers_and_where_it_helps_its_chart() -> None:
    document = report_document(PLAIN)
    assert document.title == "poll: where people drop off, week 11 of 2026 (9 to 15 March)"
    assert [block.text for block in document.blocks if isinstance(block, Heading)] == [
        "In short",
        "What changed against the week before?",
        "The ladder per session",
        "The three surest drops",
        "What to look at next",
        "Where do people stand?",
        "Who may still say yes?",
        "Is the gradient smooth?",
        "Too much too soon?",
        "Do yeses build momentum?",
        "Does value come first?",
        "Do we keep our word, and celebrate?",
        "Where do people hesitate?",
        "Can these numbers be trusted?",
    ]
    assert [chart.name for chart in document.charts()] == ["changes", "ladder", "leaps", "momentum", "hesitation"]
    worst = next(block for block in document.blocks if isinstance(block, Bullets) and "did not go on" in block.texts[0])
    assert worst.texts[0] == (
        "“poll” of poll 3: 63 of 100 sessions asked did not go on to a yes, 63.0% (53.2% to 71.8%)."
    )
    assert len(worst.texts) == 3


def test_a_report_on_visitors_says_how_its_two_drop_offs_differ() -> None:
    period = PLAIN.period
    assert period is not None
    of_visitors = replace(PLAIN, period=replace(period, unit="visitor"))
    text = markdown(report_document(of_visitors))
    assert LATE_YES_COUNTS in text
    assert "Drop-off within the window per visitor asked" in text
    assert "63.0% of 100 sessions" not in text
    assert "visitors first asked in these days" in in_short(of_visitors)[-1]
    assert LATE_YES_COUNTS not in markdown(report_document(PLAIN))
    page = render_report(of_visitors)
    assert "Drop-off within the window per visitor, now and in" in page
    assert page.count(LATE_YES_COUNTS) == 1
    assert LATE_YES_COUNTS not in render_report(PLAIN)


def test_one_of_a_kind_is_said_in_the_singular() -> None:
    one = replace(PLAIN, events=1, sessions=1, visitors=1)
    assert report_document(one).about[1] == "1 event in 1 session of 1 visitor"
    assert "<b>1</b> visitor</p>" in render_report(one)


def test_the_few_sentences_are_what_changed_and_where_most_is_lost() -> None:
    found = in_short(PLAIN)
    assert found[0].startswith("The drop-off at poll 1 rose by 10.0 points")
    assert found[-1].startswith("Per session: The largest drop-off seems to be at tier 1")
    assert title(replace(PLAIN, period=None)) == "poll: where people drop off"


def test_the_numbers_are_those_of_the_facts() -> None:
    tables = [block for block in report_document(PLAIN).blocks if isinstance(block, Table)]
    assert tables[0].rows[0] == ("poll 1", "1,000", "50.0%", "1,000", "60.0%", "+10.0", "+4.7 to +15.2", "rose")
    assert tables[1].rows[1] == ("2", "poll 2", "100", "40", "10", "50", "60.0%", "50.2% to 69.1%", "0", "40")
    assert [row[:2] for row in tables[-2].rows] == [
        ("Landed", "1,000"),
        ("Duplicates", "3"),
        ("Rejected", "2"),
        ("Late", "5"),
    ]


def test_the_markdown_is_a_table_also_for_the_eye() -> None:
    text = markdown(report_document(PLAIN))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({cell_len(line) for line in table.splitlines()}) == 1
    assert "| poll 1" in text
    assert text.splitlines()[0] == "# poll: where people drop off, week 11 of 2026 (9 to 15 March)"


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_changes_nothing_of_the_markdown_but_words(name: str) -> None:
    plain, found = markdown(report_document(PLAIN)), markdown(report_document(facts_with(name)))
    assert [_shape(line) for line in found.splitlines()] == [_shape(line) for line in plain.splitlines()]
    assert not re.search(r"(?<!\\)<[A-Za-z/!]", found)
    assert not re.search(r"(?<!\\)\]\(", found)
    assert not re.search(r"https?://|www\.(?=\w)", found)
    assert "\u202e" not in found


def _shape(line: str) -> str:
    """What Markdown makes of a line: how it begins, and how many cells it has."""
    begins = re.match(r"(# |## |- |\*\*|\||---$|)", line)
    assert begins is not None
    return f"{begins[1]}{len(_CELLS.findall(line))}"


_CELLS = re.compile(r"(?<!\\)\|")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("moodle_edify: 47.4% of 1,374 (a-b)", "moodle_edify: 47.4% of 1,374 (a-b)"),
        ("*a* _b_ `c` [d](e) a|b ~f~", r"\*a\* \_b\_ \`c\` \[d\](e) a\|b \~f\~"),
        ("<b>x</b> 3 < 4 &amp; R&D &#60;", r"\<b>x\</b> 3 < 4 \&amp; R&D \&#60;"),
        ("# x", r"\# x"),
        ("- x", r"\- x"),
        ("-10.2 (-26.2)", "-10.2 (-26.2)"),
        ("1. x", r"1\. x"),
        ("1.5 points", "1.5 points"),
        ("> x", r"\> x"),
        ("--- x", r"\--- x"),
        ("https://evil.example www.evil.example a@b.example", r"https\://evil.example www\.evil.example a\@b.example"),
        ("back\\slash", "back\\\\slash"),
    ],
)  # fmt: skip
def test_markdown_is_escaped_where_it_means_something(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_name_fits_a_line_anywhere(name: str) -> None:
    found = harmless_name(name)
    assert len(found) <= LONGEST + 40
    assert "\n" not in found
    assert "\u202e" not in found
    assert harmless_name("poll") == "poll"
    assert harmless_name("a" * 200) != harmless_name("a" * 200 + "b")
    assert harmless_name("שלום") == "\u2068שלום\u2069"
    assert one_line(found) == found
    assert harmless_name("👩\u200d💻") == "👩\u200d💻"


def test_names_are_made_harmless_at_any_depth_and_numbers_are_left() -> None:
    facts = harmless(facts_with("a\nb"))
    assert facts.ladder.tiers == ("a b 1", "a b 2", "a b 3")
    assert facts.steps[0].step == "a b"
    assert facts.per_session[0].asked == 100
    assert harmless(PLAIN) == replace(PLAIN, attribution="Whose it is: poll")


def test_the_pdf_holds_its_words_as_text_whatever_they_are() -> None:
    """All hostile names at once: Typst would refuse, or draw, what it took for markup or code."""
    made = pdf(report_document(facts_with("#panic() $x$ @ref <label> \\ */ " + HOSTILE["script"])))
    assert made.startswith(b"%PDF-")
    assert made == pdf(report_document(facts_with("#panic() $x$ @ref <label> \\ */ " + HOSTILE["script"])))
    assert b"/JavaScript" not in made
    assert b"/URI" not in made
    assert len(re.findall(rb"/Type\s*/Page\b", made)) + _pages_in_streams(made) >= 3


def _pages_in_streams(made: bytes) -> int:
    """Pages that are in compressed objects."""
    found = 0
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", made, re.DOTALL):
        try:
            found += len(re.findall(rb"/Type\s*/Page\b", zlib.decompress(match[1])))
        except zlib.error:
            continue
    return found


DRAWN = {
    "answers": Answers(tuple((name, 40, 10, 50, 0.3, 0.5) for name in HOSTILE.values())),
    "whiskers": Whiskers(tuple((name, 0.1, -0.2, 0.3) for name in HOSTILE.values()), "difference"),
    "seconds": Whiskers(tuple((name, 4.0, 0.0, 9e6) for name in HOSTILE.values()), "seconds"),
    "heat": Heat(tuple(HOSTILE.values()), ("a", "b"), ((None, (0.5, "50%")),) * len(HOSTILE), "across", "down"),
}


@pytest.mark.parametrize("drawn", DRAWN.values(), ids=DRAWN)
def test_a_picture_has_names_as_shapes_and_is_the_same_each_time(drawn: Answers | Whiskers | Heat) -> None:
    made = picture(drawn, "svg")
    root = ET.fromstring(made)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "g", "path", "defs", "style", "use", "clipPath", "rect", "metadata", "RDF", "Work", "type",
        "format", "title",
    }  # fmt: skip
    assert b"script" not in made
    assert made == picture(drawn, "svg")


def test_a_name_that_turns_the_line_is_drawn_as_harmless_as_it_is_written() -> None:
    def drawn(name: str) -> bytes:
        return picture(Whiskers(((name, 0.1, 0.0, 0.2),), "share"), "svg")

    name = HOSTILE["right to left"]
    assert drawn(name) == drawn(harmless_name(name))


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_is_one_printable_line(name: str) -> None:
    found = harmless_name(name)
    assert all(letter.isprintable() or letter in "\u200d\u2068\u2069" for letter in found)
