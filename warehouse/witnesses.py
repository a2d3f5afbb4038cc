"""Some sessions in which something happened, for people who want to see it with their own eyes (`yesladder walk`)."""

from __future__ import annotations

from pathlib import Path

from ladder.tiers import Ladder
from warehouse.counted import Slice
from warehouse.query import open_marts
from warehouse.ways import WITNESSES, bounds, value_of

CHEERED_WITHIN_S = 10
"""As in ``fct_after_yes``."""

Witnesses = dict[str, dict[str, tuple[str, ...]]]
"""Ids of sessions by segment value and what happened there, the newest first."""


def witnesses(warehouse: Path, ladder: Ladder, of: Slice) -> Witnesses:
    """A few of each: too soon, in order (asks); gives, takes, both (starts); cheered, uncheered (yeses above tier 1).

    Of asks, visitors and yeses on the days of the slice, whatever its unit.  Raises ``UsageError`` where no marts were
    built with this ladder.
    """
    value = value_of(of)
    query = f"""
with

happened as (
    select visitor_id, session_id, is_loss as is_better, asked_at as happened_at,
        case when tier > held_tier + 1 then 'too soon' else 'in order' end as what
    from main.fct_asks
    where unit = 'visitor' and tier > held_tier and is_mature and asked_date >= $since and asked_date < $until
    union all
    select visitor_id, session_id, false, said_at,
        case when cheer_seconds <= {CHEERED_WITHIN_S} then 'cheered' else 'uncheered' end
    from main.fct_yeses
    where unit = 'visitor' and tier > 1 and yes_date >= $since and yes_date < $until
),

starts as (
    select {value} as segment_value, visitors.visitor_id, starts.start
    from intermediate.int_starts as starts
    inner join main.dim_visitors as visitors using (visitor_id)
    where starts.unit = 'visitor' and starts.start <> 'neither' and starts.date >= $since and starts.date < $until
        and {value} = coalesce($value, {value})
    qualify row_number() over (
        partition by segment_value, start order by starts.date desc, starts.visitor_id
    ) <= {WITNESSES}
)

select segment_value, what, list(session_id order by place) from (
    select segment_value, what, session_id, row_number() over (
        partition by segment_value, what order by is_better desc, happened_at desc, session_id
    ) as place
    from (
        select
            {value} as segment_value, what, session_id,
            bool_or(is_better) as is_better, max(happened_at) as happened_at
        from happened
        inner join main.dim_visitors as visitors using (visitor_id)
        where {value} = coalesce($value, {value})
        group by all
    )
)
where place <= {WITNESSES}
group by segment_value, what
union all
select segment_value, start, list(session_id order by happened_at desc, session_id) from (
    select starts.segment_value, starts.start, arg_min(marks.session_id, marks.occurred_at) as session_id,
        min(marks.occurred_at) as happened_at
    from starts
    inner join intermediate.int_marks as marks using (visitor_id)
    group by starts.segment_value, starts.start, starts.visitor_id
)
group by segment_value, start
"""
    found: Witnesses = {}
    with open_marts(warehouse, ladder) as marts:
        for segment_value, what, sessions in marts.execute(query, bounds(of)).fetchall():
            found.setdefault(segment_value, {})[what] = tuple(sessions)
    return found
