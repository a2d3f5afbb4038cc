with

outcomes as (
    select * from {{ ref('int_outcomes') }} where step is not null
),

segments as (
    {{ in_every_segment('outcomes') }}
),

counted as (
    select
        ladder,
        segment,
        segment_value,
        unit,
        date,
        tier,
        step,
        count(*) filter (where is_asked) as asked,
        count(*) filter (where is_yes) as yes,
        count(*) filter (where is_no) as no,
        count(*) filter (where is_silent) as silent,
        count(*) filter (where is_implicit) as implicit,
        count(*) filter (where is_reached) as reached,
        count(*) filter (where is_next_reached) as reached_next,
        count(*) filter (where is_in_flight) as in_flight,
        count(*) filter (where is_matured) as matured,
        count(*) filter (where is_matured_yes) as matured_yes
    from segments
    group by ladder, segment, segment_value, unit, date, tier, step
),

final as (
    select
        counted.*,
        ladder_tiers.name as tier_name,
        {{ drop_off_rates('ladder_tiers.next_tier is not null') }}
    from counted
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = counted.ladder and ladder_tiers.tier = counted.tier
)

select
    ladder,
    segment,
    segment_value,
    unit,
    date,
    tier,
    tier_name,
    step,
    asked,
    yes,
    no,
    silent,
    implicit,
    reached,
    reached_next,
    in_flight,
    matured,
    matured_yes,
    drop_off,
    drop_off_low,
    drop_off_high,
    matured_drop_off,
    matured_drop_off_low,
    matured_drop_off_high,
    reached_next_share,
    reached_next_share_low,
    reached_next_share_high
from final
