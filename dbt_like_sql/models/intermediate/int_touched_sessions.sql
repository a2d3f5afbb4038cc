with

final as (
    select *
    from {{ ref('stg_sessions') }}
    where is_new
    union all
    select *
    from {{ ref('stg_sessions') }}
    where not is_new and visitor_id in (select visitor_id from {{ ref('int_recopied_visitors') }})
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
{% if is_full_build() %}where false{% endif %}
