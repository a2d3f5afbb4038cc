{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('session_id', 'int_touched_sessions') }}"
    )
}}

with

steps as (
    select *
    from {{ ref('int_session_steps') }}
    {{ where_touched('session_id', 'int_touched_sessions') }}
),

final as (
    select
        session_id,
        ladder,
        visitor_id,
        started_date,
        tier,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yeses) as bigint) as yeses,
        cast(sum(noes) as bigint) as noes,
        min(first_ask_at) as first_ask_at,
        min(first_yes_at) as first_yes_at,
        max(last_yes_at) as last_yes_at,
        max(last_no_at) as last_no_at,
        bool_or(holds_next_tier) as holds_next_tier
    from steps
    group by session_id, ladder, visitor_id, started_date, tier
)

select
    session_id,
    ladder,
    visitor_id,
    started_date,
    tier,
    asks,
    yeses,
    noes,
    noes > 0 as has_no,
    first_ask_at,
    first_yes_at,
    last_yes_at,
    last_no_at,
    holds_next_tier
from final
