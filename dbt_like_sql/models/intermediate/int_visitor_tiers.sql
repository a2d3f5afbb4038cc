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

tiers as (
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
),

-- As in int_visitor_steps; a yes of any step answers the tier's first ask.
yeses_again as (
    select tiers.visitor_id, tiers.tier, min(marks.occurred_at) as yes_after_ask_at
    from tiers
    inner join {{ ref('int_marks') }} as marks
        on
            marks.visitor_id = tiers.visitor_id and marks.tier = tiers.tier
            and marks.role = 'yes' and marks.occurred_at >= tiers.first_ask_at
    where tiers.first_yes_at < tiers.first_ask_at and tiers.last_yes_at >= tiers.first_ask_at
    group by tiers.visitor_id, tiers.tier
),

final as (
    select
        tiers.*,
        case
            when tiers.first_yes_at >= tiers.first_ask_at then tiers.first_yes_at
            else yeses_again.yes_after_ask_at
        end as yes_after_ask_at
    from tiers
    left join yeses_again on yeses_again.visitor_id = tiers.visitor_id and yeses_again.tier = tiers.tier
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
    yes_after_ask_at,
    last_no_at,
    counted_date,
    holds_next_tier
from final
