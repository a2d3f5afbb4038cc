{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

units as (
    select 'visitor' as unit
    union all
    select 'session'
),

touched_marks as (
    select *
    from {{ ref('int_marks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

marks_of_units as (
    select
        touched_marks.*,
        units.unit,
        case units.unit when 'visitor' then touched_marks.visitor_id else touched_marks.session_id end as unit_id
    from touched_marks
    cross join units
),

marks as (
    select
        *,
        dense_rank() over (
            partition by unit, unit_id order by occurred_at, session_id, event_place
        ) as event_number
    from marks_of_units
),

-- What follows on a yes belongs to it until the same step has another yes.
numbered as (
    select
        *,
        min(case when role = 'ask' then event_number end) over (
            partition by unit, unit_id order by event_number range between 1 following and unbounded following
        ) as next_asking_event,
        count(case when role = 'yes' then 1 end) over (
            partition by unit, unit_id, tier, step
            order by event_number, case when role = 'yes' then 0 else 1 end
            rows between unbounded preceding and current row
        ) as yes_number
    from marks
),

followed as (
    select
        unit,
        unit_id,
        tier,
        step,
        yes_number,
        min(case when role = 'reward' then occurred_at end) as rewarded_at,
        min(case when role = 'cheer' then occurred_at end) as cheered_at
    from numbered
    where yes_number > 0
    group by unit, unit_id, tier, step, yes_number
),

touched_asks as (
    select *
    from {{ ref('fct_asks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

next_asks as (
    select
        marks.unit,
        marks.unit_id,
        marks.event_number,
        min(asks.asked_at) as asked_at,
        bool_or(coalesce(asks.answer = 'yes', false)) as has_yes,
        bool_and(asks.is_mature) as is_mature
    from marks
    inner join touched_asks as asks
        on
            asks.unit = marks.unit and asks.visitor_id = marks.visitor_id and asks.session_id = marks.session_id
            and asks.event_id = marks.event_id and asks.tier = marks.tier and asks.step = marks.step
    where marks.role = 'ask'
    group by marks.unit, marks.unit_id, marks.event_number
),

final as (
    select
        numbered.*,
        {{ utc_date('numbered.occurred_at') }} as yes_date,
        followed.rewarded_at,
        followed.cheered_at,
        next_asks.asked_at as next_asked_at,
        next_asks.has_yes as next_has_yes,
        next_asks.is_mature as next_is_mature
    from numbered
    inner join followed
        on
            followed.unit = numbered.unit and followed.unit_id = numbered.unit_id and followed.tier = numbered.tier
            and followed.step = numbered.step and followed.yes_number = numbered.yes_number
    left join next_asks
        on
            next_asks.unit = numbered.unit and next_asks.unit_id = numbered.unit_id
            and next_asks.event_number = numbered.next_asking_event
    where numbered.role = 'yes'
)

select
    ladder,
    unit,
    visitor_id,
    session_id,
    event_id,
    tier,
    step,
    yes_date,
    occurred_at as said_at,
    rewarded_at,
    {{ seconds_between('occurred_at', 'rewarded_at') }} as reward_seconds,
    cheered_at,
    {{ seconds_between('occurred_at', 'cheered_at') }} as cheer_seconds,
    next_asked_at,
    next_has_yes,
    next_is_mature
from final
