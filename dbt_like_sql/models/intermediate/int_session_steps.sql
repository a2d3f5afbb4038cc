{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('session_id', 'int_touched_sessions') }}"
    )
}}

with

sessions as (
    select session_id, ladder, visitor_id, started_date, started_at
    from {{ touched_of('int_touched_sessions', 'stg_sessions') }}
),

entries as (
    select session_id, {{ explode('sequence') }} as entry
    from {{ touched_of('int_touched_sessions', 'stg_sessions') }}
),

marks as (
    select
        session_id,
        entry.event_id as event_id,
        entry.tier as tier,
        entry.role as role,
        entry.step as step,
        entry.offset_us as offset_us
    from entries
    where entry.role in ('ask', 'yes', 'no')
),

marks_counted_once as (
    select marks.session_id, marks.tier, marks.role, marks.step, marks.offset_us
    from marks
    left join {{ ref('int_repeated_events') }} as repeated
        on repeated.session_id = marks.session_id and repeated.event_id = marks.event_id
    where repeated.event_id is null
),

steps as (
    select
        session_id,
        tier,
        step,
        count(*) filter (where role = 'ask') as asks,
        count(*) filter (where role = 'yes') as yeses,
        count(*) filter (where role = 'no') as noes,
        min(offset_us) filter (where role = 'ask') as first_ask_us,
        min(offset_us) filter (where role = 'yes') as first_yes_us,
        max(offset_us) filter (where role = 'yes') as last_yes_us,
        max(offset_us) filter (where role = 'no') as last_no_us
    from marks_counted_once
    group by session_id, tier, step
),

tiers_reached as (
    select distinct session_id, tier
    from steps
    where yeses > 0
),

final as (
    select
        steps.session_id,
        sessions.ladder,
        sessions.visitor_id,
        sessions.started_date,
        steps.tier,
        steps.step,
        steps.asks,
        steps.yeses,
        steps.noes,
        {{ add_microseconds('sessions.started_at', 'steps.first_ask_us') }} as first_ask_at,
        {{ add_microseconds('sessions.started_at', 'steps.first_yes_us') }} as first_yes_at,
        {{ add_microseconds('sessions.started_at', 'steps.last_yes_us') }} as last_yes_at,
        {{ add_microseconds('sessions.started_at', 'steps.last_no_us') }} as last_no_at,
        next_reached.tier is not null as holds_next_tier
    from steps
    inner join sessions on sessions.session_id = steps.session_id
    left join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = sessions.ladder and ladder_tiers.tier = steps.tier
    left join tiers_reached as next_reached
        on next_reached.session_id = steps.session_id and next_reached.tier = ladder_tiers.next_tier
)

select
    session_id,
    ladder,
    visitor_id,
    started_date,
    tier,
    step,
    asks,
    yeses,
    noes,
    first_ask_at,
    first_yes_at,
    last_yes_at,
    last_no_at,
    holds_next_tier
from final
