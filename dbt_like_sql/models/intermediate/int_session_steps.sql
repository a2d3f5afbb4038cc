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

marks as (
    select *
    from {{ ref('int_marks') }}
    {{ where_touched('session_id', 'int_touched_sessions') }}
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
    from marks
    where role in ('ask', 'yes', 'no')
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
