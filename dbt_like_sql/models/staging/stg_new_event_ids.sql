with

final as (
    select event_id
    from {{ source('lake', 'events') }}
    where is_new
)

select event_id
from final
