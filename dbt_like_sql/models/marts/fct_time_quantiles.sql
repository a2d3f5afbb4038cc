{{ config(materialized='view') }}

with

cumulated as (
    select
        *,
        sum(times) over (
            partition by ladder, unit, segment, segment_value, date, measure, tier, step order by bucket
        ) as times_so_far,
        sum(times) over (
            partition by ladder, unit, segment, segment_value, date, measure, tier, step
        ) as times_in_all
    from {{ ref('fct_times') }}
),

buckets as (
    select
        ladder,
        unit,
        segment,
        segment_value,
        date,
        measure,
        tier,
        step,
        cast(sum(times) as bigint) as times,
        {{ bucket_at(10) }} as p10_bucket,
        {{ bucket_at(50) }} as median_bucket,
        {{ bucket_at(90) }} as p90_bucket
    from cumulated
    group by ladder, unit, segment, segment_value, date, measure, tier, step
),

final as (
    select
        *,
        {{ bucket_seconds('p10_bucket') }} as p10_seconds,
        {{ bucket_seconds('median_bucket') }} as median_seconds,
        {{ bucket_seconds('p90_bucket') }} as p90_seconds
    from buckets
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    measure,
    tier,
    step,
    times,
    p10_seconds,
    median_seconds,
    p90_seconds
from final
