{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'given', 'bucket', 'tier'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['asks', 'in_flight']) }}"
    )
}}

with

gives as (
    select * from {{ touched_of('int_give_changes', 'int_give_rows') }}
),

numbers as (
    select *, 'rewards' as given, earlier_rewards as number
    from gives
    union all
    select *, 'gives', earlier_gives
    from gives
),

buckets as (
    select *, case when number < 3 then cast(number as {{ dbt.type_string() }}) else '3+' end as bucket
    from numbers
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        date,
        given,
        bucket,
        tier,
        {{ net('is_mature') }} as asks,
        {{ net('is_mature and is_yes') }} as yes,
        {{ net('not is_mature') }} as in_flight
    from buckets
    {{ every_segment(['ladder', 'unit', 'date', 'given', 'bucket', 'tier']) }}
),

counted as (
    {{- added_to_counts('sums', keys, ['asks', 'yes', 'in_flight']) }}
),

final as (
    select
        counted.*,
        {{ share_columns('yes_rate', 'yes', 'asks') }}
    from counted
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    given,
    bucket,
    tier,
    asks,
    yes,
    in_flight,
    yes_rate,
    yes_rate_low,
    yes_rate_high
from final
