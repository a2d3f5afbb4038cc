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

ranked as (
    select
        event_id,
        visitor_id,
        occurred_at,
        received_at,
        count(*) over (partition by event_id) as copies,
        row_number() over (partition by event_id order by {{ arrival() }}) as copy
    from {{ source('lake', 'events') }}
    where event_id in (select event_id from landed_again)
),

final as (
    select
        event_id,
        visitor_id,
        occurred_at,
        received_at,
        copies
    from ranked
    where copy = 1
)

select
    event_id,
    visitor_id,
    occurred_at,
    received_at,
    copies
from final
