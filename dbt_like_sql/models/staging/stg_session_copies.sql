{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('session_id', 'stg_new_session_ids') }}"
    )
}}

with

final as (
    select session_id, count(*) as copies
    from {{ source('lake', 'sessions') }}
    {{ where_touched('session_id', 'stg_new_session_ids') }}
    group by session_id
    having count(*) > 1
)

select
    session_id,
    copies
from final
