{{ config(materialized='view') }}
{% set columns = ['first_page_url', 'first_referrer', 'first_utm_source', 'first_utm_medium', 'first_utm_campaign', 'first_device_class'] %}

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
    select asks.*, 'all' as segment, '' as segment_value
    from asks
    {% for column in columns %}
    union all
    select asks.*, '{{ column }}', coalesce(visitors.{{ column }}, '')
    from asks
    inner join {{ ref('dim_visitors') }} as visitors on visitors.visitor_id = asks.visitor_id
    {% endfor %}
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
