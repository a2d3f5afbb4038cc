with

asks as (
    select * from {{ ref('int_ask_segments') }}
),

counted as (
    select
        ladder,
        segment,
        segment_value,
        asked_date as date,
        held_tier,
        tier,
        count(*) filter (where is_mature) as asks,
        count(*) filter (where is_mature and is_yes) as yes,
        count(*) filter (where is_mature and is_no) as no,
        count(*) filter (where is_mature and not is_yes and not is_no) as silent,
        count(*) filter (where not is_mature) as in_flight,
        count(*) filter (where is_mature and is_loss) as lost
    from asks
    group by ladder, segment, segment_value, asked_date, held_tier, tier
),

final as (
    select
        counted.*,
        coalesce(yes / cast(nullif(asks, 0) as double), 0.0) as yes_rate,
        {{ wilson('yes', 'asks', 'low') }} as yes_rate_low,
        {{ wilson('yes', 'asks', 'high') }} as yes_rate_high
    from counted
)

select
    ladder,
    segment,
    segment_value,
    date,
    held_tier,
    tier,
    asks,
    yes,
    no,
    silent,
    in_flight,
    lost,
    yes_rate,
    yes_rate_low,
    yes_rate_high
from final
