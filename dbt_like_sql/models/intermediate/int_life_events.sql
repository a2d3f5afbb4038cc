{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('visitor_id', 'int_touched_visitors') }}"
    )
}}

-- Events in the order of a life, as in fct_asks.
{% set life = "partition by unit, unit_id order by occurred_at, session_id, event_place" %}

with

marks as (
    select *
    from {{ ref('int_marks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

-- The lowest tier costs attention only: showing its content gives, and so does having read it.
events as (
    select
        ladder,
        visitor_id,
        session_id,
        event_id,
        event_place,
        occurred_at,
        bool_or(role = 'reward' or (tier = 1 and role in ('ask', 'yes'))) as gives,
        bool_or(tier > 1 and role in ('ask', 'yes', 'no')) as takes,
        bool_or(tier > 1 and role = 'ask') as asks_for_more,
        bool_or(role = 'reward' or (tier = 1 and role = 'yes')) as has_given
    from marks
    group by ladder, visitor_id, session_id, event_id, event_place, occurred_at
),

units as (
    select 'visitor' as unit
    union all
    select 'session'
),

lives as (
    select
        events.*,
        units.unit,
        case units.unit when 'visitor' then events.visitor_id else events.session_id end as unit_id
    from events
    cross join units
),

final as (
    select
        *,
        row_number() over ({{ life }}) as event_number,
        count(case when has_given then 1 end) over ({{ life }}) as gives_so_far
    from lives
)

select
    ladder,
    unit,
    unit_id,
    visitor_id,
    session_id,
    event_id,
    event_number,
    case
        when gives and takes then 'both'
        when gives then 'gives'
        when takes then 'takes'
        else 'neither'
    end as kind,
    asks_for_more,
    gives_so_far
from final
