with

landed as (
    select * from {{ source('lake', 'sessions') }}
),

final as (
    select *
    from landed
    where ladder in (select ladder from {{ source('lake', 'ladder_tiers') }})
)

select
    session_id,
    ladder,
    visitor_id,
    user_id,

    {{ utc_date('started_at') }} as started_date,
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
    capped as is_capped,
    sequence,

    page_url,
    referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    device_class,

    source,
    partition as source_partition,
    landed_date,
    is_new
from final
