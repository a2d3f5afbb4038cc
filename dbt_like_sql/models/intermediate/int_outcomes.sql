{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

horizon as (
    select max(ended_at) as known_until
    from {{ ref('fct_sessions') }}
),

units as (
    select
        'visitor' as unit, visitor_id as unit_id, visitor_id, ladder, counted_date as date, tier,
        cast(null as {{ dbt.type_string() }}) as step,
        first_ask_at, first_yes_at, last_yes_at, yes_after_ask_at, last_no_at, holds_next_tier
    from {{ ref('int_visitor_tiers') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
    union all
    select
        'visitor', visitor_id, visitor_id, ladder, counted_date, tier, step,
        first_ask_at, first_yes_at, last_yes_at, yes_after_ask_at, last_no_at, holds_next_tier
    from {{ ref('int_visitor_steps') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
    union all
    select
        'session', session_id, visitor_id, ladder, started_date, tier, null,
        first_ask_at, first_yes_at, last_yes_at, null, last_no_at, holds_next_tier
    from {{ ref('int_session_tiers') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
    union all
    select
        'session', session_id, visitor_id, ladder, started_date, tier, step,
        first_ask_at, first_yes_at, last_yes_at, null, last_no_at, holds_next_tier
    from {{ ref('int_session_steps') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

answers as (
    select
        units.*,
        units.first_ask_at is not null as is_asked,
        coalesce(units.last_yes_at >= units.first_ask_at, false) as says_yes,
        coalesce(units.last_no_at >= units.first_ask_at, false) as says_no,
        units.first_yes_at is not null as is_reached,
        -- A session in the lake is over; a visitor may still answer until the window of the first ask has passed.
        units.unit = 'session' or {{ add_microseconds('units.first_ask_at', 'ladder_tiers.conversion_window_us') }}
        <= horizon.known_until as is_over,
        units.unit = 'session' or units.yes_after_ask_at
        <= {{ add_microseconds('units.first_ask_at', 'ladder_tiers.conversion_window_us') }} as is_in_time
    from units
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = units.ladder and ladder_tiers.tier = units.tier
    cross join horizon
    where units.first_ask_at is not null or units.first_yes_at is not null
),

final as (
    select
        unit,
        unit_id,
        visitor_id,
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
        is_reached and holds_next_tier as is_next_reached,
        is_asked and not says_yes and not is_over as is_in_flight,
        is_asked and is_over as is_matured,
        is_asked and is_over and says_yes and is_in_time as is_matured_yes
    from answers
)

select
    unit,
    unit_id,
    visitor_id,
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
    is_next_reached,
    is_in_flight,
    is_matured,
    is_matured_yes
from final
