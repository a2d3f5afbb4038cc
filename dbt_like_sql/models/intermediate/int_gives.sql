{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

asks as (
    select *
    from {{ ref('fct_asks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

events as (
    select *
    from {{ ref('int_life_events') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

final as (
    select
        asks.*,
        events.gives_so_far
    from asks
    inner join events
        on
            events.unit = asks.unit and events.visitor_id = asks.visitor_id
            and events.session_id = asks.session_id and events.event_id = asks.event_id
    where asks.tier > 1
)

select
    ladder,
    unit,
    visitor_id,
    session_id,
    event_id,
    asked_date as date,
    tier,
    step,
    earlier_rewards,
    gives_so_far as earlier_gives,
    is_mature,
    coalesce(answer = 'yes', false) as is_yes
from final
