{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

units as (
    select *
    from {{ ref('int_standings') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

events as (
    select *
    from {{ ref('int_life_events') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

starts as (
    select
        unit,
        unit_id,
        min(case when event_number = 1 then kind end) as start,
        min(case when asks_for_more then event_number end) as asking_event
    from events
    group by unit, unit_id
),

asks as (
    select *
    from {{ ref('fct_asks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

-- An event that asks for several things is one ask here: of the highest of them, and a yes where any of them has one.
first_asks as (
    select
        events.unit,
        events.unit_id,
        max(asks.tier) as tier,
        bool_or(coalesce(asks.answer = 'yes', false)) as is_yes,
        bool_and(asks.is_mature) as is_mature
    from starts
    inner join events
        on
            events.unit = starts.unit and events.unit_id = starts.unit_id
            and events.event_number = starts.asking_event
    inner join asks
        on
            asks.unit = events.unit and asks.visitor_id = events.visitor_id
            and asks.session_id = events.session_id and asks.event_id = events.event_id
    where asks.tier > 1
    group by events.unit, events.unit_id
),

final as (
    select
        units.ladder,
        units.unit,
        units.unit_id,
        units.visitor_id,
        units.date,
        coalesce(starts.start, 'neither') as start,
        coalesce(first_asks.tier, 0) as tier,
        first_asks.is_yes,
        first_asks.is_mature
    from units
    left join starts on starts.unit = units.unit and starts.unit_id = units.unit_id
    left join first_asks on first_asks.unit = units.unit and first_asks.unit_id = units.unit_id
)

select
    ladder,
    unit,
    unit_id,
    visitor_id,
    date,
    start,
    cast(tier as smallint) as tier,
    is_yes,
    is_mature
from final
