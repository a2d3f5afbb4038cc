from __future__ import annotations

import json

import polars as pl
from hypothesis import given, settings, strategies as st

from ladder.tiers import ROLES, Ladder, Mark, Rule
from stream.marks import MarkTable

TIERS = 4
names = st.sampled_from(["a", "b", "c", "d"])
keys = st.sampled_from(["x", "y", "plan type", ""])
scalars = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, 1.5, 2.0**60, 2**60]),
    st.sampled_from(["", "1", "true"]),
)
marks = st.lists(
    st.builds(Mark, st.integers(1, TIERS), st.sampled_from(ROLES), st.sampled_from(["s", "t"])), min_size=1, max_size=3
).map(tuple)
rules = st.one_of(
    st.builds(Rule, names, st.dictionaries(keys, scalars, max_size=2), marks),
    st.builds(Rule, st.none(), st.dictionaries(keys, scalars, min_size=1, max_size=2), marks),
)
values = st.recursive(
    st.one_of(scalars, st.none(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=2)),
    max_leaves=4,
)
events = st.tuples(names, st.dictionaries(st.one_of(keys, st.text(max_size=2)), values, max_size=4))


@settings(deadline=None, max_examples=200)
@given(st.lists(rules, max_size=5).map(tuple), st.lists(st.lists(events, max_size=8), max_size=3), st.booleans())
def test_the_table_gives_the_marks_of_the_ladder(
    rules: tuple[Rule, ...], batches: list[list[tuple[str, dict[str, object]]]], ascii_only: bool
) -> None:
    ladder = Ladder("any", tuple("wxyz"), rules)
    table = MarkTable(ladder)
    for batch in batches:
        texts = [json.dumps(properties, ensure_ascii=ascii_only) for _, properties in batch]
        combos = table.of(pl.Series([name for name, _ in batch], dtype=pl.String), pl.Series(texts, dtype=pl.String))
        for combo, (name, properties) in zip(combos, batch, strict=True):
            expected = ladder.marks_of(name, properties)
            places = range(table.first_row[combo], table.first_row[combo] + table.row_count[combo])
            rows = [(table.row_tier[i].as_py(), table.row_role[i].as_py(), table.row_step[i].as_py()) for i in places]
            none: list[tuple[object, object, object]] = [(None, None, None)]
            assert rows == ([(mark.tier, mark.role, mark.step) for mark in expected] or none)
            assert table.counts["yes"][combo] == sum(mark.role == "yes" for mark in expected)
            assert table.highest_yes[combo] == max((mark.tier for mark in expected if mark.role == "yes"), default=0)
            assert table.lowest_ask[combo] == min((mark.tier for mark in expected if mark.role == "ask"), default=0)
            assert table.highest_ask[combo] == max((mark.tier for mark in expected if mark.role == "ask"), default=0)
