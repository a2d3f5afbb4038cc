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
        count(case when role = 'ask' then 1 end) over (partition by unit, unit_id, session_id, event_id) as asks_of_event,
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
        min(case when role = 'ask' then occurred_at end) as asked_at,
        min(case when role = 'yes' then occurred_at end) as yes_at,
        min(case when role = 'no' then occurred_at end) as no_at
    from of_asks
    where ask_number > 0
    group by unit, unit_id, tier, step, ask_number
),

windows as (
    select
        said.*,
        {{ add_microseconds('said.asked_at', 'ladder_tiers.conversion_window_us') }} as window_ends_at
    from said
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers on ladder_tiers.tier = said.tier
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
        of_asks.*,
        coalesce(of_asks.held, 0) as held_tier,
        of_asks.asks_so_far = of_asks.asks_ever and of_asks.yeses_so_far = of_asks.yeses_ever
        and row_number() over (
            partition by of_asks.unit, of_asks.unit_id, of_asks.session_id, of_asks.event_id
            order by of_asks.tier desc, of_asks.step
        ) = 1 as is_last,
        answers.answer,
        case answers.answer when 'yes' then answers.yes_at when 'no' then answers.no_at end as answered_at,
        answers.window_ends_at
    from of_asks
    inner join answers
        on
            answers.unit = of_asks.unit and answers.unit_id = of_asks.unit_id and answers.tier = of_asks.tier
            and answers.step = of_asks.step and answers.ask_number = of_asks.ask_number
    where of_asks.role = 'ask'
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
