{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('event_id', 'stg_new_event_ids') }}"
    )
}}

with

landed_again as (
    select event_id
    from {{ source('lake', 'events') }}
    {{ where_touched('event_id', 'stg_new_event_ids') }}
    group by event_id
    having count(*) > 1
),

final as (
    select
        event_id,
        visitor_id,
        occurred_at,
        received_at,
        source,
        partition as source_partition,
        record_offset,
        row_number() over (partition by event_id order by {{ arrival() }}) as copy
    from {{ source('lake', 'events') }}
    where event_id in (select event_id from landed_again)
)

select
    event_id,
    copy,
    visitor_id,
    occurred_at,
    received_at,
    source,
    source_partition,
    record_offset
from final
