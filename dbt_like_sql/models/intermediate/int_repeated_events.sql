with

kept_copies as (
    select event_id, visitor_id, occurred_at
    from {{ ref('stg_event_copies') }}
    where copy = 1
),

sessions as (
    select session_id, visitor_id, started_at, landed_date, sequence
    from {{ ref('stg_sessions') }}
    where visitor_id in (select visitor_id from {{ ref('stg_event_copies') }})
),

entries as (
    select session_id, visitor_id, started_at, landed_date, {{ explode('sequence') }} as entry
    from sessions
),

places as (
    select distinct
        entries.session_id,
        entries.landed_date,
        kept_copies.event_id,
        kept_copies.visitor_id = entries.visitor_id
        and kept_copies.occurred_at
        = {{ add_microseconds('entries.started_at', 'entries.entry.offset_us') }} as is_kept_copy
    from entries
    inner join kept_copies on kept_copies.event_id = entries.entry.event_id
),

ranked as (
    select
        session_id,
        event_id,
        is_kept_copy,
        row_number() over (partition by event_id, is_kept_copy order by landed_date, session_id) as place
    from places
),

final as (
    select distinct session_id, event_id
    from ranked
    where not is_kept_copy or place > 1
)

select
    session_id,
    event_id
from final
