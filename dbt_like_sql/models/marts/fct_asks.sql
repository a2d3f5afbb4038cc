{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

-- Events in the order of a life; marks of one event are peers, so an event's own yes is held at its own ask.
{% set life = "partition by unit, unit_id order by occurred_at, session_id, event_place" %}
{% set same_event = "range between current row and current row" %}
-- Several asks of one event: the one of the highest tier comes first, then by step.  A ladder has 32 tiers at most.
{% set highest_first = "cast(10000 - tier as " ~ dbt.type_string() ~ ") || step" %}

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

units as (
    select 'visitor' as unit
    union all
    select 'session'
),

touched_marks as (
    select *
    from {{ ref('int_marks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

marks as (
    select
        touched_marks.*,
        units.unit,
        case units.unit when 'visitor' then touched_marks.visitor_id else touched_marks.session_id end as unit_id
    from touched_marks
    cross join units
),

lives as (
    select
        *,
        max(case when role = 'yes' then tier end) over ({{ life }}) as held,
        count(case when role = 'yes' then 1 end) over ({{ life }}) as yeses_so_far,
        max(case when role = 'yes' then occurred_at end) over ({{ life }}) as last_yes_at,
        count(case when role = 'yes' then 1 end) over (partition by unit, unit_id) as yeses_ever,
        count(case when role = 'ask' then 1 end) over ({{ life }}) as asks_so_far,
        count(case when role = 'ask' then 1 end) over (partition by unit, unit_id) as asks_ever,
        count(case when role = 'ask' then 1 end) over ({{ life }} {{ same_event }}) as asks_of_event,
        min(case when role = 'ask' then {{ highest_first }} end) over ({{ life }} {{ same_event }}) as highest_of_event,
        count(case when role = 'reward' then 1 end) over ({{ life }}) as rewards_so_far
    from marks
),

-- What is said of a step until it is asked again answers the ask before.
of_asks as (
    select
        *,
        count(case when role = 'ask' then 1 end) over (
            partition by unit, unit_id, tier, step
            order by occurred_at, session_id, event_place, case when role = 'ask' then 0 else 1 end
            rows between unbounded preceding and current row
        ) as ask_number
    from lives
    where role in ('ask', 'yes', 'no')
),

said as (
    select
        unit,
        unit_id,
        tier,
        step,
        ask_number,
        min(case when role = 'yes' then occurred_at end) as yes_at,
        min(case when role = 'no' then occurred_at end) as no_at
    from of_asks
    where ask_number > 0 and role <> 'ask'
    group by unit, unit_id, tier, step, ask_number
),

windows as (
    select
        of_asks.*,
        said.yes_at,
        said.no_at,
        {{ add_microseconds('of_asks.occurred_at', 'ladder_tiers.conversion_window_us') }} as window_ends_at
    from of_asks
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers on ladder_tiers.tier = of_asks.tier
    left join said
        on
            said.unit = of_asks.unit and said.unit_id = of_asks.unit_id and said.tier = of_asks.tier
            and said.step = of_asks.step and said.ask_number = of_asks.ask_number
    where of_asks.role = 'ask'
),

answers as (
    select
        *,
        case
            when yes_at <= window_ends_at then 'yes'
            when no_at <= window_ends_at then 'no'
        end as answer
    from windows
),

asks as (
    select
        *,
        coalesce(held, 0) as held_tier,
        asks_so_far = asks_ever and yeses_so_far = yeses_ever and {{ highest_first }} = highest_of_event as is_last,
        case answer when 'yes' then yes_at when 'no' then no_at end as answered_at
    from answers
),

final as (
    select
        asks.*,
        {{ utc_date('asks.occurred_at') }} as asked_date,
        asks.tier - asks.held_tier as leap,
        {{ seconds_between('asks.last_yes_at', 'asks.occurred_at') }} as seconds_since_yes,
        asks.asks_so_far = asks.asks_of_event as is_first,
        asks.unit = 'session' or asks.window_ends_at <= horizon.known_until as is_mature,
        asks.is_last and coalesce(asks.answer <> 'yes', true)
        and coalesce(asks.held_tier < top.tier, true) as is_loss
    from asks
    left join top on top.ladder = asks.ladder
    cross join horizon
)

select
    ladder,
    unit,
    visitor_id,
    session_id,
    event_id,
    tier,
    step,
    asked_date,
    occurred_at as asked_at,
    offset_us / 1e6 as landing_seconds,
    cast(held_tier as smallint) as held_tier,
    cast(leap as smallint) as leap,
    asks_so_far - asks_of_event as earlier_asks,
    yeses_so_far as earlier_yeses,
    seconds_since_yes,
    rewards_so_far as earlier_rewards,
    is_first,
    is_last,
    is_mature,
    is_loss,
    answer,
    answered_at,
    {{ seconds_between('occurred_at', 'answered_at') }} as answer_seconds,
    window_ends_at
from final
{{ lie_by('visitor_id') }}
