-- Summed over dates, each tier counts exactly the sessions and visitors that were asked and that reached it.
with

summed as (
    select unit, tier, sum(asked) as asked, sum(reached) as reached
    from {{ ref('fct_tier_dropoff') }}
    where segment = 'all'
    group by unit, tier
),

counted as (
    select 'session' as unit, tier, count(first_ask_at) as asked, count(first_yes_at) as reached
    from {{ ref('int_session_tiers') }}
    group by tier
    union all
    select 'visitor', tier, count(first_ask_at), count(first_yes_at)
    from {{ ref('int_visitor_tiers') }}
    group by tier
)

select counted.unit, counted.tier, counted.asked, counted.reached
from counted
left join summed on summed.unit = counted.unit and summed.tier = counted.tier
where
    coalesce(summed.asked, 0) <> counted.asked
    or coalesce(summed.reached, 0) <> counted.reached
