with

linking_events as (
    select visitor_id, user_id, occurred_at
    from {{ ref('stg_events') }}
    where kind in ('identify', 'alias') and user_id is not null and user_id <> visitor_id
),

final as (
    select
        visitor_id,
        user_id,
        min(occurred_at) as first_linked_at,
        max(occurred_at) as last_linked_at,
        count(*) as links
    from linking_events
    group by visitor_id, user_id
)

select
    visitor_id,
    user_id,
    first_linked_at,
    last_linked_at,
    links
from final
