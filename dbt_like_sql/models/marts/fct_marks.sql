{{ config(materialized='view') }}

with

final as (
    select
        marks.*,
        ladder_tiers.name as tier_name,
        cast(dense_rank() over (
            partition by marks.visitor_id order by marks.occurred_at, marks.session_id, marks.event_place
        ) as bigint) as event_number
    from {{ ref('int_marks') }} as marks
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = marks.ladder and ladder_tiers.tier = marks.tier
)

select
    ladder,
    visitor_id,
    event_number,
    occurred_at,
    tier,
    tier_name,
    role,
    step,
    session_id,
    event_id
from final
