"""What changed, as the page shows it."""

from __future__ import annotations

import re

from answers.report import render_report
from tests.suites.hostile_names import HOSTILE
from tests.suites.named_facts import facts_with


def test_the_page_has_the_changes_first_with_their_counts_intervals_and_verdicts() -> None:
    page = render_report(facts_with("poll"))
    table = page.partition('<table class="wide" id="changes">')[2].partition("</table>")[0]
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in table.split("<tr>")[2:]]
    assert rows == [
        "poll 1 50.0% 46.9% to 53.1% 1,000 asked of 1,000 people 60.0% 56.9% to 63.0% 1,000 asked of 1,000 people"
        " +10.0 +4.7 to +15.2 rose",
        "“poll” of poll 2 1.0% 0.2% to 5.5% 99 asked of 99 people 2.0% 0.6% to 7.1% 99 asked of 99 people"
        " +1.0 −5.4 to +7.9 may be chance",
        "poll 3, “poll” 1.0% 0.2% to 5.5% 99 asked of 99 people 2.0% 0.6% to 7.1% 99 asked of 99 people"
        " +1.0 −5.4 to +7.9 may be chance",
    ]
    assert page.index("The drop-off at poll 1 rose by 10.0 points") < page.index("The largest drop-off")
    assert "week 11 of 2026 (9 to 15 March)" in page
    assert "Week by week" in page


def test_hostile_names_bring_nothing_into_the_page() -> None:
    plain = render_report(facts_with("poll"))
    for name in HOSTILE.values():
        page = render_report(facts_with(name))
        for opening in ("<script", "<img", "<a ", "<td", "<tr", "<svg", "<li", "<p"):
            assert page.count(opening) == plain.count(opening), (opening, name[:40])
