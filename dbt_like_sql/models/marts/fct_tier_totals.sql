with

units as (
    select 'session' as unit
    union all
    select 'visitor'
),

every_tier as (
    select
        ladder_tiers.ladder,
        units.unit,
        ladder_tiers.tier,
        ladder_tiers.name as tier_name,
        ladder_tiers.next_tier is not null as has_next
    from {{ source('lake', 'ladder_tiers') }} as ladder_tiers
    cross join units
),

by_date as (
    select * from {{ ref('fct_tier_dropoff') }} where segment = 'all'
),

totals as (
    select
        every_tier.ladder,
        every_tier.unit,
        every_tier.tier,
        every_tier.tier_name,
        every_tier.has_next,
        cast(coalesce(sum(by_date.asked), 0) as bigint) as asked,
        cast(coalesce(sum(by_date.yes), 0) as bigint) as yes,
        cast(coalesce(sum(by_date.no), 0) as bigint) as no,
        cast(coalesce(sum(by_date.silent), 0) as bigint) as silent,
        cast(coalesce(sum(by_date.implicit), 0) as bigint) as implicit,
        cast(coalesce(sum(by_date.reached), 0) as bigint) as reached,
        cast(coalesce(sum(by_date.reached_next), 0) as bigint) as reached_next,
        cast(coalesce(sum(by_date.in_flight), 0) as bigint) as in_flight,
        cast(coalesce(sum(by_date.matured), 0) as bigint) as matured,
        cast(coalesce(sum(by_date.matured_yes), 0) as bigint) as matured_yes
    from every_tier
    left join by_date
        on by_date.ladder = every_tier.ladder and by_date.unit = every_tier.unit and by_date.tier = every_tier.tier
    group by every_tier.ladder, every_tier.unit, every_tier.tier, every_tier.tier_name, every_tier.has_next
),

final as (
    select
        *,
        {{ drop_off_rates('has_next') }}
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
