{{ config(materialized='view') }}

with

events_copied_again as (
    select event_id
    from {{ ref('stg_new_event_ids') }}
    where event_id in (select event_id from {{ ref('stg_event_copies') }})
),

their_visitors as (
    select visitor_id
    from {{ ref('stg_event_copies') }}
    where event_id in (select event_id from events_copied_again)
),

final as (
    select *
    from {{ ref('stg_sessions') }}
    where is_new
    union all
    select *
    from {{ ref('stg_sessions') }}
    where not is_new and visitor_id in (select visitor_id from their_visitors)
)

select
    session_id,
    ladder,
    visitor_id,
    user_id,

    started_date,
    started_at,
    ended_at,

    events,
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
    sequence,

    page_url,
    referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    device_class,

    source,
    source_partition,
    landed_date,
    is_new
from final
