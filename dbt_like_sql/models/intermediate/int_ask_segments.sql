{{ config(materialized='view') }}

with

horizon as (
    select max(ended_at) as known_until
    from {{ ref('fct_sessions') }}
),

top as (
    select ladder, max(tier) as tier
    from {{ source('lake', 'ladder_tiers') }}
    where has_yes
    group by ladder
),

asks as (
    select
        asks.*,
        asks.is_last and coalesce(asks.answer <> 'yes', true) and asks.held_tier < top.tier as is_loss,
        asks.window_ends_at <= horizon.known_until as is_mature,
        coalesce(asks.answer = 'yes', false) as is_yes,
        coalesce(asks.answer = 'no', false) as is_no
    from {{ ref('fct_asks') }} as asks
    inner join top on top.ladder = asks.ladder
    cross join horizon
),

final as (
    {{ in_every_segment('asks') }}
)

select
    ladder,
    segment,
    segment_value,
    asked_date,
    tier,
    step,
    held_tier,
    earlier_yeses,
    seconds_since_yes,
    is_mature,
    is_yes,
    is_no,
    is_loss,
    answer_seconds
from final
