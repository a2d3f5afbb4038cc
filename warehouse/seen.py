"""How many visitors were about on some days: the new ones and those who came back."""

from __future__ import annotations

from pathlib import Path

from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.query import open_marts
from warehouse.ways import bounds, value_of


def seen(warehouse: Path, ladder: Ladder, of: Slice) -> dict[str, int]:
    """Visitors by segment value, that of most first: with a session begun, an ask or a yes on its days.

    Of visitors, whatever the unit of the slice.  Raises ``UsageError`` where no marts were built with this ladder.
    """
    value = value_of(of)
    query = f"""
with

days as (
    select visitor_id, started_date as day from main.fct_sessions
    union all
    select visitor_id, asked_date from main.fct_asks where unit = 'visitor'
    union all
    select visitor_id, yes_date from main.fct_yeses where unit = 'visitor'
)

select {value} as segment_value, count(distinct visitor_id) as visitors
from days
inner join main.dim_visitors as visitors using (visitor_id)
where day >= $since and day < $until and {value} = coalesce($value, {value})
group by segment_value
order by visitors desc, segment_value
"""
    with open_marts(warehouse, ladder) as marts:
        return dict(marts.execute(query, bounds(of)).fetchall())
