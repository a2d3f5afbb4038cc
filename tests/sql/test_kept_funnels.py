"""Saved funnels are kept by builds: after each of them the answer is the one that looking at everything gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from answers.funnel import answer_question
from answers.funnel_answer import Answer
from answers.funnel_file import parse_funnels
from answers.funnel_kept import SavedFunnels, kept_answer
from answers.funnel_question import Question
from ladder.errors import UsageError
from tests.suites.seeded_lake import LADDER, NOW, event_rows, land, seeded_events
from warehouse.build import BuildResult, build
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.query import open_marts

FILE = """
[plain]
steps = ["Page Shown", "Voted", "Signed Up"]
window = "2d"
by = "utm_source"
trend = "week"

[shared]
steps = ["tier:click:ask", "Voted", "tier:buy"]
by = "paid"
attribution = "all"
exclude = ["Form Closed"]
trend = "day"

["strict by user"]
steps = ["Page Shown", "Voted"]
order = "strict"
unit = "user"

[users]
steps = ["Page Shown", "Form Shown", "Voted"]
unit = "user"
optional = [2]
hold = "paid"
first_ever = [1]
since = 2026-02-02

[sessions]
steps = ["Page Shown", "Voted"]
unit = "session"
order = "unordered"
by = "utm_source"
attribution = "last"

[values]
steps = ["Page Shown", "Voted"]
unit = "paid"
"""
QUESTIONS = parse_funnels(FILE, "funnels.toml")
KEPT = SavedFunnels(QUESTIONS, LADDER)


def check(warehouse: Path, questions: dict[str, Question] = QUESTIONS) -> dict[str, Answer]:
    """All kept answers are those of looking at everything; returns them."""
    found = {}
    for name, question in questions.items():
        found[name] = answer_question(warehouse, LADDER, question, listed=2)
        assert kept_answer(warehouse, LADDER, name, question, listed=2) == found[name], name
    return found


def numbers(warehouse: Path) -> dict[str, int]:
    """Which tables each funnel has; another number tells that it was made anew."""
    with open_marts(warehouse) as marts:
        return dict(marts.execute("select name, number from funnels.saved").fetchall())


def test_after_every_build_a_kept_answer_is_that_of_all_events(lake: Lake, gate: Gate) -> None:
    """Portions with late events and copies, a held batch, and other definitions."""
    warehouse = lake.root.parent
    events = [event for event in seeded_events(23, visitors=30) if event.occurred_at < NOW]
    first = [event for event in events if event.occurred_at < datetime(2026, 2, 12, tzinfo=UTC)]
    rest = [event for event in events if event not in first]
    late = rest[::3]
    now = NOW

    def run(kept: SavedFunnels = KEPT) -> BuildResult:
        nonlocal now
        now += timedelta(minutes=1)
        return build(lake, LADDER, gate=gate, now=now, kept=kept)

    land(lake, first)
    run()
    before = check(warehouse)
    assert all(one.steps[0].count > 0 for one in before.values())
    made = numbers(warehouse)
    assert not run().built

    copied = [msgspec.structs.replace(event, received_at=NOW) for event in first[:20]]
    land(lake, [event for event in rest if event not in late], first=1000)
    lake.append("events", event_rows(late, source="kafka:late", late=True), now=now)
    lake.append("events", event_rows(copied, source="again"), now=now)
    assert not run().full
    after = check(warehouse)
    assert all(after[name] != before[name] for name in QUESTIONS)
    assert numbers(warehouse) == made, "added to, not made anew: of the copies the first count, and were there"

    wrong = event_rows(seeded_events(5, visitors=60, prefix="w"), source="file:wrong")
    kinds = pa.array(["telepathy"] * wrong.num_rows)
    lake.append("events", wrong.set_column(wrong.schema.get_field_index("kind"), "kind", kinds), now=now)
    assert run().held_back
    assert check(warehouse) == after

    changed = {name: question for name, question in QUESTIONS.items() if name != "values"}
    changed |= parse_funnels('[plain]\nsteps = ["Page Shown", "Voted"]', "funnels.toml")
    result = run(SavedFunnels(changed, LADDER))
    assert (result.built, result.full) == (True, False)
    check(warehouse, changed)
    assert kept_answer(warehouse, LADDER, "plain", QUESTIONS["plain"]) is None
    same = {name for name, number in numbers(warehouse).items() if number == made[name]}
    assert same == set(QUESTIONS) - {"plain", "values"}, "the others stay as they are"
    with open_marts(warehouse) as marts:
        tables = "select table_name from duckdb_tables() where database_name = 'marts' and schema_name = 'funnels'"
        assert f"events_{made['values']}" not in {name for (name,) in marts.execute(tables).fetchall()}


def test_a_step_that_the_ladder_lacks_is_refused_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match=r"^saved funnel 'x': 'tier:moon': the ladder has no such tier"):
        SavedFunnels(parse_funnels('[x]\nsteps = ["tier:moon"]', "funnels.toml"), LADDER)
