-- The source is named twice on purpose, as in stg_events: a CTE used twice would be kept in memory, sequences and all.
with

landed_once as (
    select *
    from {{ source('lake', 'sessions') }} as landed
    where not exists (
        select 1 from {{ ref('stg_session_copies') }} as copies where copies.session_id = landed.session_id
    )
),

first_copies as (
    select *
    from {{ source('lake', 'sessions') }}
    where session_id in (select session_id from {{ ref('stg_session_copies') }})
    qualify row_number() over (partition by session_id order by landed_date, source) = 1
),

every_session as (
    select * from landed_once
    union all
    select * from first_copies
),

final as (
    select *
    from every_session
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
