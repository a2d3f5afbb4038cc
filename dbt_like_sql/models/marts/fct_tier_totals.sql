with

units as (
    select 'session' as unit
    union all
    select 'visitor'
),

every_tier as (
    select ladder_tiers.ladder, units.unit, ladder_tiers.tier, ladder_tiers.name as tier_name
    from {{ source('lake', 'ladder_tiers') }} as ladder_tiers
    cross join units
),

by_date as (
    select * from {{ ref('fct_tier_dropoff') }}
),

totals as (
    select
        every_tier.ladder,
        every_tier.unit,
        every_tier.tier,
        every_tier.tier_name,
        cast(coalesce(sum(by_date.asked), 0) as bigint) as asked,
        cast(coalesce(sum(by_date.yes), 0) as bigint) as yes,
        cast(coalesce(sum(by_date.no), 0) as bigint) as no,
        cast(coalesce(sum(by_date.silent), 0) as bigint) as silent,
        cast(coalesce(sum(by_date.implicit), 0) as bigint) as implicit,
        cast(coalesce(sum(by_date.reached), 0) as bigint) as reached,
        cast(coalesce(sum(by_date.reached_next), 0) as bigint) as reached_next
    from every_tier
    left join by_date
        on by_date.ladder = every_tier.ladder and by_date.unit = every_tier.unit and by_date.tier = every_tier.tier
    group by every_tier.ladder, every_tier.unit, every_tier.tier, every_tier.tier_name
),

final as (
    select
        *,
        coalesce((asked - yes) / cast(nullif(asked, 0) as double), 0.0) as drop_off,
        {{ wilson('(asked - yes)', 'asked', 'low') }} as drop_off_low,
        {{ wilson('(asked - yes)', 'asked', 'high') }} as drop_off_high
    from totals
)

select
    ladder,
    unit,
    tier,
    tier_name,
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
