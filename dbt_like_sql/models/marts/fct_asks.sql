{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('visitor_id', 'int_touched_visitors') }}"
    )
}}

-- Events in the order of a visitor's life; marks of one event are peers, so an event's own yes is held at its own ask.
{% set life = "partition by visitor_id order by occurred_at, session_id, event_place" %}

with

marks as (
    select *
    from {{ ref('int_marks') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

lives as (
    select
        *,
        max(case when role = 'yes' then tier end) over ({{ life }}) as held,
        count(case when role = 'yes' then 1 end) over ({{ life }}) as yeses_so_far,
        max(case when role = 'yes' then occurred_at end) over ({{ life }}) as last_yes_at,
        count(case when role = 'yes' then 1 end) over (partition by visitor_id) as yeses_ever,
        count(case when role = 'ask' then 1 end) over ({{ life }}) as asks_so_far,
        count(case when role = 'ask' then 1 end) over (partition by visitor_id) as asks_ever,
        count(case when role = 'ask' then 1 end) over (partition by visitor_id, session_id, event_id) as asks_of_event,
        count(case when role = 'reward' then 1 end) over ({{ life }}) as rewards_so_far
    from marks
),

-- What is said of a step until it is asked again answers the ask before.
of_asks as (
    select
        *,
        count(case when role = 'ask' then 1 end) over (
            partition by visitor_id, tier, step
            order by occurred_at, session_id, event_place, case when role = 'ask' then 0 else 1 end
            rows between unbounded preceding and current row
        ) as ask_number
    from lives
    where role in ('ask', 'yes', 'no')
),

said as (
    select
        visitor_id,
        tier,
        step,
        ask_number,
        min(case when role = 'ask' then occurred_at end) as asked_at,
        min(case when role = 'yes' then occurred_at end) as yes_at,
        min(case when role = 'no' then occurred_at end) as no_at
    from of_asks
    where ask_number > 0
    group by visitor_id, tier, step, ask_number
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

final as (
    select
        asks.*,
        {{ utc_date('asks.occurred_at') }} as asked_date,
        coalesce(asks.held, 0) as held_tier,
        asks.tier - coalesce(asks.held, 0) as leap,
        {{ seconds_between('asks.last_yes_at', 'asks.occurred_at') }} as seconds_since_yes,
        asks.asks_so_far = asks.asks_of_event as is_first,
        asks.asks_so_far = asks.asks_ever and asks.yeses_so_far = asks.yeses_ever
        and row_number() over (
            partition by asks.visitor_id, asks.session_id, asks.event_id order by asks.tier desc, asks.step
        ) = 1 as is_last,
        answers.answer,
        case answers.answer when 'yes' then answers.yes_at when 'no' then answers.no_at end as answered_at,
        answers.window_ends_at
    from of_asks as asks
    inner join answers
        on
            answers.visitor_id = asks.visitor_id and answers.tier = asks.tier and answers.step = asks.step
            and answers.ask_number = asks.ask_number
    where asks.role = 'ask'
)

select
    ladder,
    visitor_id,
    session_id,
    event_id,
    tier,
    step,
    asked_date,
    occurred_at as asked_at,
    cast(held_tier as smallint) as held_tier,
    cast(leap as smallint) as leap,
    yeses_so_far as earlier_yeses,
    seconds_since_yes,
    rewards_so_far as earlier_rewards,
    is_first,
    is_last,
    answer,
    answered_at,
    {{ seconds_between('occurred_at', 'answered_at') }} as answer_seconds,
    window_ends_at
from final
