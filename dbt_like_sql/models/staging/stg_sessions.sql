with

landed as (
    select * from {{ source('lake', 'sessions') }}
),

landed_again as (
    select session_id
    from landed
    group by session_id
    having count(*) > 1
),

firsts as (
    select session_id, source, landed_date
    from landed
    where session_id in (select session_id from landed_again)
    qualify row_number() over (partition by session_id order by landed_date, source) = 1
),

final as (
    select *
    from landed
    where
        ladder in (select ladder from {{ source('lake', 'ladder_tiers') }})
        and (
            session_id not in (select session_id from landed_again)
            or (session_id, source, landed_date) in (select (session_id, source, landed_date) from firsts)
        )
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
