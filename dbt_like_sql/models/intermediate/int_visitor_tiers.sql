{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('visitor_id', 'int_touched_visitors') }}"
    )
}}

with

steps as (
    select *
    from {{ ref('int_visitor_steps') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

final as (
    select
        ladder,
        visitor_id,
        tier,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yeses) as bigint) as yeses,
        cast(sum(noes) as bigint) as noes,
        min(first_ask_at) as first_ask_at,
        min(first_yes_at) as first_yes_at,
        max(last_yes_at) as last_yes_at,
        max(last_no_at) as last_no_at,
        min(counted_date) as counted_date,
        bool_or(holds_next_tier) as holds_next_tier
    from steps
    group by ladder, visitor_id, tier
)

select
    ladder,
    visitor_id,
    tier,
    asks,
    yeses,
    noes,
    noes > 0 as has_no,
    first_ask_at,
    first_yes_at,
    last_yes_at,
    last_no_at,
    counted_date,
    holds_next_tier
from final
