with

new_sessions as (
    select session_id, visitor_id
    from {{ ref('stg_sessions') }}
    where is_new
),

events_copied_again as (
    select event_id
    from {{ ref('stg_new_event_ids') }}
    where event_id in (select event_id from {{ ref('stg_event_copies') }})
),

their_visitors as (
    select visitor_id
    from {{ source('lake', 'events') }}
    where event_id in (select event_id from events_copied_again)
),

sessions_that_may_hold_a_copy as (
    select session_id, visitor_id
    from {{ ref('stg_sessions') }}
    where not is_new and visitor_id in (select visitor_id from their_visitors)
),

final as (
    select session_id, visitor_id from new_sessions
    union all
    select session_id, visitor_id from sessions_that_may_hold_a_copy
)

select
    session_id,
    visitor_id
from final
