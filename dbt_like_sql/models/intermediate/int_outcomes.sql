{{ config(materialized='view') }}

with

units as (
    select
        'session' as unit, session_id as unit_id, ladder, started_date as date, tier, cast(null as {{ dbt.type_string() }}) as step,
        first_ask_at, first_yes_at, last_yes_at, last_no_at, holds_next_tier
    from {{ ref('int_session_tiers') }}
    union all
    select
        'session', session_id, ladder, started_date, tier, step,
        first_ask_at, first_yes_at, last_yes_at, last_no_at, holds_next_tier
    from {{ ref('int_session_steps') }}
    union all
    select
        'visitor', visitor_id, ladder, counted_date, tier, cast(null as {{ dbt.type_string() }}),
        first_ask_at, first_yes_at, last_yes_at, last_no_at, holds_next_tier
    from {{ ref('int_visitor_tiers') }}
    union all
    select
        'visitor', visitor_id, ladder, counted_date, tier, step,
        first_ask_at, first_yes_at, last_yes_at, last_no_at, holds_next_tier
    from {{ ref('int_visitor_steps') }}
),

answers as (
    select
        unit,
        unit_id,
        ladder,
        date,
        tier,
        step,
        first_ask_at is not null as is_asked,
        coalesce(last_yes_at >= first_ask_at, false) as says_yes,
        coalesce(last_no_at >= first_ask_at, false) as says_no,
        first_yes_at is not null as is_reached,
        holds_next_tier
    from units
    where first_ask_at is not null or first_yes_at is not null
),

final as (
    select
        unit,
        unit_id,
        ladder,
        date,
        tier,
        step,
        is_asked,
        says_yes as is_yes,
        says_no and not says_yes as is_no,
        is_asked and not says_yes and not says_no as is_silent,
        is_reached and not is_asked as is_implicit,
        is_reached,
        is_reached and holds_next_tier as is_next_reached
    from answers
)

select
    unit,
    unit_id,
    ladder,
    date,
    tier,
    step,
    is_asked,
    is_yes,
    is_no,
    is_silent,
    is_implicit,
    is_reached,
    is_next_reached
from final
