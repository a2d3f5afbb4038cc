with

final as (
    select session_id
    from {{ source('lake', 'sessions') }}
    where is_new
)

select session_id
from final
