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

marks as (
    select
        touched_marks.*,
        units.unit,
        case units.unit when 'visitor' then touched_marks.visitor_id else touched_marks.session_id end as unit_id
    from touched_marks
    cross join units
),

lives as (
    select
        *,
        count(case when role = 'ask' then 1 end) over (
            partition by unit, unit_id order by occurred_at, session_id, event_place
        ) as asks_so_far
    from marks
),

-- What follows on a yes belongs to it until the same step has another yes.
numbered as (
    select
        *,
        count(case when role = 'yes' then 1 end) over (
            partition by unit, unit_id, tier, step
            order by occurred_at, session_id, event_place, case when role = 'yes' then 0 else 1 end
            rows between unbounded preceding and current row
        ) as yes_number
    from lives
    where role in ('yes', 'reward', 'cheer')
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
    where yes_number > 0 and role <> 'yes'
    group by unit, unit_id, tier, step, yes_number
),

asks as (
    select *, case unit when 'visitor' then visitor_id else session_id end as unit_id
    from {{ ref('fct_asks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

-- The asks of one event have the same asks before them: as many as there were up to and with the event before.
asking_events as (
    select
        unit,
        unit_id,
        earlier_asks,
        min(asked_at) as asked_at,
        bool_or(coalesce(answer = 'yes', false)) as has_yes,
        bool_and(is_mature) as is_mature
    from asks
    group by unit, unit_id, earlier_asks
),

final as (
    select
        numbered.*,
        {{ utc_date('numbered.occurred_at') }} as yes_date,
        followed.rewarded_at,
        followed.cheered_at,
        asking_events.asked_at as next_asked_at,
        asking_events.has_yes as next_has_yes,
        asking_events.is_mature as next_is_mature
    from numbered
    left join followed
        on
            followed.unit = numbered.unit and followed.unit_id = numbered.unit_id and followed.tier = numbered.tier
            and followed.step = numbered.step and followed.yes_number = numbered.yes_number
    left join asking_events
        on
            asking_events.unit = numbered.unit and asking_events.unit_id = numbered.unit_id
            and asking_events.earlier_asks = numbered.asks_so_far
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
