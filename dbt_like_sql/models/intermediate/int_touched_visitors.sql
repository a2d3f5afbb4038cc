with

of_sessions as (
    select visitor_id from {{ ref('int_touched_sessions') }}
),

of_links as (
    select visitor_id
    from {{ source('lake', 'events') }}
    where is_new and kind in ('identify', 'alias')
),

final as (
    select visitor_id from of_sessions
    union
    select visitor_id from of_links
)

select visitor_id
from final
{% if is_full_build() %}where false{% endif %}
