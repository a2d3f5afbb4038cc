{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=["{{ remember('visitor_id', 'int_touched_visitors') }}", "{{ forget('visitor_id', 'int_touched_visitors') }}"]
    )
}}

with

sessions as (
    select *
    from {{ ref('fct_sessions') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

visitors as (
    select
        visitor_id,
        min(started_at) as first_seen_at,
        max(ended_at) as last_seen_at,
        count(*) as sessions,
        cast(sum(events - repeated_events) as bigint) as events,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yeses) as bigint) as yeses,
        cast(sum(noes) as bigint) as noes
    from sessions
    group by visitor_id
),

first_touches as (
    select visitor_id, page_url, referrer, utm_source, utm_medium, utm_campaign, device_class
    from sessions
    qualify row_number() over (partition by visitor_id order by started_at, session_id) = 1
),

touched_tiers as (
    select *
    from {{ ref('int_visitor_tiers') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

reached as (
    select touched_tiers.visitor_id, touched_tiers.tier, touched_tiers.first_yes_at, ladder_tiers.stage
    from touched_tiers
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = touched_tiers.ladder and ladder_tiers.tier = touched_tiers.tier
    where touched_tiers.yeses > 0
),

tiers as (
    select
        visitor_id,
        max(tier) as highest_tier,
        {{ list_in_order('tier', 'tier') }} as tiers_reached,
        max_by(stage, tier) as identity_stage,
        min(first_yes_at) as aware_at,
        min(case when stage in ('evaluating', 'committed') then first_yes_at end) as evaluating_at,
        min(case when stage = 'committed' then first_yes_at end) as committed_at
    from reached
    group by visitor_id
),

links as (
    select *
    from {{ ref('int_identity_links') }}
    {{ where_touched('visitor_id', 'int_touched_visitors') }}
),

users as (
    select
        visitor_id,
        {{ list_in_order('user_id', 'first_linked_at, user_id') }} as user_ids
    from links
    group by visitor_id
),

final as (
    select
        visitors.*,
        tiers.highest_tier,
        tiers.tiers_reached,
        coalesce(tiers.identity_stage, 'curious') as identity_stage,
        tiers.aware_at,
        tiers.evaluating_at,
        tiers.committed_at,
        users.user_ids,
        first_touches.page_url as first_page_url,
        first_touches.referrer as first_referrer,
        first_touches.utm_source as first_utm_source,
        first_touches.utm_medium as first_utm_medium,
        first_touches.utm_campaign as first_utm_campaign,
        first_touches.device_class as first_device_class
    from visitors
    inner join first_touches on first_touches.visitor_id = visitors.visitor_id
    left join tiers on tiers.visitor_id = visitors.visitor_id
    left join users on users.visitor_id = visitors.visitor_id
)

select
    visitor_id,
    user_ids,

    first_seen_at,
    last_seen_at,
    sessions,
    events,
    asks,
    yeses,
    noes,
    highest_tier,
    tiers_reached,
    identity_stage,
    aware_at,
    evaluating_at,
    committed_at,

    first_page_url,
    first_referrer,
    first_utm_source,
    first_utm_medium,
    first_utm_campaign,
    first_device_class
from final
{{ lie_by('visitor_id') }}
