{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('visitor_id', 'int_touched_visitors') }}"
    )
}}

with

session_steps as (
    select *
    from {{ ref('int_session_steps') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

steps as (
    select
        ladder,
        visitor_id,
        tier,
        step,
        count(*) as sessions,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yeses) as bigint) as yeses,
        cast(sum(noes) as bigint) as noes,
        min(first_ask_at) as first_ask_at,
        min(first_yes_at) as first_yes_at,
        max(last_yes_at) as last_yes_at,
        max(last_no_at) as last_no_at
    from session_steps
    group by ladder, visitor_id, tier, step
),

tiers_reached as (
    select distinct visitor_id, tier
    from steps
    where yeses > 0
),

-- Of who said yes before they were asked, and again afterwards, the marks tell when that was.
yeses_again as (
    select steps.visitor_id, steps.tier, steps.step, min(marks.occurred_at) as yes_after_ask_at
    from steps
    inner join {{ ref('int_marks') }} as marks
        on
            marks.visitor_id = steps.visitor_id and marks.tier = steps.tier and marks.step = steps.step
            and marks.role = 'yes' and marks.occurred_at >= steps.first_ask_at
    where steps.first_yes_at < steps.first_ask_at and steps.last_yes_at >= steps.first_ask_at
    group by steps.visitor_id, steps.tier, steps.step
),

final as (
    select
        steps.*,
        case
            when steps.first_yes_at >= steps.first_ask_at then steps.first_yes_at
            else yeses_again.yes_after_ask_at
        end as yes_after_ask_at,
        {{ utc_date('least(steps.first_ask_at, steps.first_yes_at)') }} as counted_date,
        next_reached.tier is not null as holds_next_tier
    from steps
    left join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = steps.ladder and ladder_tiers.tier = steps.tier
    left join tiers_reached as next_reached
        on next_reached.visitor_id = steps.visitor_id and next_reached.tier = ladder_tiers.next_tier
    left join yeses_again
        on
            yeses_again.visitor_id = steps.visitor_id and yeses_again.tier = steps.tier
            and yeses_again.step = steps.step
)

select
    ladder,
    visitor_id,
    tier,
    step,
    sessions,
    asks,
    yeses,
    noes,
    first_ask_at,
    first_yes_at,
    last_yes_at,
    yes_after_ask_at,
    last_no_at,
    counted_date,
    holds_next_tier
from final
