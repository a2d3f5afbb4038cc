-- The source is named twice on purpose: DuckDB would keep a CTE used twice in memory, with all columns of all history.
with

landed_once as (
    select *
    from {{ source('lake', 'events') }} as landed
    where not exists (
        select 1 from {{ ref('stg_event_copies') }} as copies where copies.event_id = landed.event_id
    )
),

first_copies as (
    select *
    from {{ source('lake', 'events') }}
    where event_id in (select event_id from {{ ref('stg_event_copies') }})
    qualify row_number() over (partition by event_id order by {{ arrival() }}) = 1
),

final as (
    select * from landed_once
    union all
    select * from first_copies
)

select
    event_id,
    visitor_id,
    user_id,

    kind,
    name,
    properties,
    context,
    page_url,
    referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    device_class,

    occurred_at,
    received_at,
    late as is_late,

    source,
    partition as source_partition,
    record_offset,
    landed_date,
    is_new
from final
