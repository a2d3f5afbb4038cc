with

final as (
    select * from {{ source('lake', 'rejects') }}
)

select
    reason,
    field,
    detail,
    raw,
    rejected_at,
    stage,
    source,
    partition as source_partition,
    record_offset,
    landed_date,
    is_new
from final
