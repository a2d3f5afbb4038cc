with

asks as (
    select * from {{ ref('int_ask_segments') }}
    where is_mature
),

buckets as (
    select *, 'earlier yeses' as grouped_by, case when earlier_yeses < 3 then cast(earlier_yeses as {{ dbt.type_string() }}) else '3+' end as bucket
    from asks
    union all
    select *, 'tier held', cast(held_tier as {{ dbt.type_string() }})
    from asks
    union all
    select
        *,
        'since the last yes',
        case
            when seconds_since_yes < 60 then 'under a minute'
            when seconds_since_yes < 3600 then 'under an hour'
            when seconds_since_yes < 86400 then 'under a day'
            else 'a day or more'
        end
    from asks
    where seconds_since_yes is not null
),

-- A tier weighs as much in every bucket as it has of all asks that are compared.
by_tier as (
    select
        ladder,
        segment,
        segment_value,
        grouped_by,
        bucket,
        tier,
        count(*) as asks,
        count(*) filter (where is_yes) as yes,
        sum(count(*)) over (partition by ladder, segment, segment_value, grouped_by, tier) as weight
    from buckets
    group by ladder, segment, segment_value, grouped_by, bucket, tier
),

counted as (
    select
        ladder,
        segment,
        segment_value,
        grouped_by,
        bucket,
        cast(sum(asks) as bigint) as asks,
        cast(sum(yes) as bigint) as yes,
        {{ sum_in_order('weight * cast(yes as double) / asks', 'tier') }} / sum(weight) as adjusted_rate,
        cast(sum(weight) as double) * sum(weight) / {{ sum_in_order('cast(weight as double) * weight / asks', 'tier') }} as adjusted_asks
    from by_tier
    group by ladder, segment, segment_value, grouped_by, bucket
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
