{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('session_id', 'int_touched_sessions') }}"
    )
}}

with

sessions as (
    select *
    from {{ touched_of('int_touched_sessions', 'stg_sessions') }}
),

repeats as (
    select session_id, cast(count(*) as integer) as repeated_events
    from {{ ref('int_repeated_events') }}
    group by session_id
),

with_repeats as (
    select
        sessions.*,
        coalesce(repeats.repeated_events, 0) as repeated_events
    from sessions
    left join repeats on repeats.session_id = sessions.session_id
),

final as (
    select
        *,
        {{ seconds_between('started_at', 'ended_at') }} as duration_seconds
    from with_repeats
    where repeated_events < events
)

select
    session_id,
    ladder,
    visitor_id,
    user_id,

    started_date,
    started_at,
    ended_at,
    duration_seconds,

    events,
    repeated_events,
    asks,
    yeses,
    noes,
    rewards,
    cheers,
    regrets,
    highest_tier,
    tiers_reached,
    first_ask_tier,
    largest_leap,
    is_capped,

    page_url,
    referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    device_class,
    landed_date
from final
{{ lie_by('visitor_id') }}
