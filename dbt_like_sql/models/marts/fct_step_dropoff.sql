with

outcomes as (
    select * from {{ ref('int_outcomes') }} where step is not null
),

counted as (
    select
        ladder,
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
        count(*) filter (where is_next_reached) as reached_next
    from outcomes
    group by ladder, unit, date, tier, step
),

final as (
    select
        counted.*,
        ladder_tiers.name as tier_name,
        coalesce((counted.asked - counted.yes) / cast(nullif(counted.asked, 0) as double), 0.0) as drop_off,
        {{ wilson('(counted.asked - counted.yes)', 'counted.asked', 'low') }} as drop_off_low,
        {{ wilson('(counted.asked - counted.yes)', 'counted.asked', 'high') }} as drop_off_high
    from counted
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = counted.ladder and ladder_tiers.tier = counted.tier
)

select
    ladder,
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
    drop_off,
    drop_off_low,
    drop_off_high
from final
