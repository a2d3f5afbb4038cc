{{ config(materialized='view') }}

with

-- A tier weighs as much in every bucket as it has of all asks that are compared.
by_tier as (
    select
        ladder,
        unit,
        segment,
        segment_value,
        grouped_by,
        bucket,
        tier,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yes) as bigint) as yes,
        cast(sum(sum(asks)) over (partition by ladder, unit, segment, segment_value, grouped_by, tier) as bigint) as weight
    from {{ ref('fct_momentum') }}
    group by ladder, unit, segment, segment_value, grouped_by, bucket, tier
),

counted as (
    select
        ladder,
        unit,
        segment,
        segment_value,
        grouped_by,
        bucket,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yes) as bigint) as yes,
        {{ sum_in_order('weight * cast(yes as double) / asks', 'tier') }} / sum(weight) as adjusted_rate,
        cast(sum(weight) as double) * sum(weight) / {{ sum_in_order('cast(weight as double) * weight / asks', 'tier') }} as adjusted_asks
    from by_tier
    group by ladder, unit, segment, segment_value, grouped_by, bucket
),

final as (
    select
        *,
        coalesce(yes / cast(nullif(asks, 0) as double), 0.0) as yes_rate,
        {{ wilson('yes', 'asks', 'low') }} as yes_rate_low,
        {{ wilson('yes', 'asks', 'high') }} as yes_rate_high,
        {{ wilson('(adjusted_rate * adjusted_asks)', 'adjusted_asks', 'low') }} as adjusted_rate_low,
        {{ wilson('(adjusted_rate * adjusted_asks)', 'adjusted_asks', 'high') }} as adjusted_rate_high
    from counted
)

select
    ladder,
    unit,
    segment,
    segment_value,
    grouped_by,
    bucket,
    asks,
    yes,
    yes_rate,
    yes_rate_low,
    yes_rate_high,
    adjusted_rate,
    adjusted_rate_low,
    adjusted_rate_high
from final
