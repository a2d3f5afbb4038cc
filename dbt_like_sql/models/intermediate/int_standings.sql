{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

sessions as (
    select session_id, visitor_id, ladder, started_date
    from {{ ref('fct_sessions') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

session_tiers as (
    select *
    from {{ ref('int_session_tiers') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

session_heights as (
    select session_id, max(tier) as tier
    from session_tiers
    where yeses > 0
    group by session_id
),

of_sessions as (
    select
        sessions.ladder,
        sessions.session_id,
        sessions.visitor_id,
        sessions.started_date,
        coalesce(session_heights.tier, 0) as tier
    from sessions
    left join session_heights on session_heights.session_id = sessions.session_id
),

final as (
    select ladder, 'session' as unit, session_id as unit_id, visitor_id, started_date as date, tier
    from of_sessions
    union all
    select ladder, 'visitor', visitor_id, visitor_id, min(started_date), max(tier)
    from of_sessions
    group by ladder, visitor_id
)

select
    ladder,
    unit,
    unit_id,
    visitor_id,
    date,
    cast(tier as smallint) as tier
from final
