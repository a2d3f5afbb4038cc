{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'grouped_by', 'bucket', 'tier'] %}
{% set counts = ['asks', 'yes'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['asks', 'yes']) }}"
    )
}}

with

asks as (
    select * from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    where is_mature
),

buckets as (
    select
        *,
        'earlier yeses' as grouped_by,
        case when earlier_yeses < 3 then cast(earlier_yeses as {{ dbt.type_string() }}) else '3+' end as bucket
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

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        asked_date as date,
        grouped_by,
        bucket,
        tier,
        sum(change) as asks,
        {{ net("answer = 'yes'") }} as yes
    from buckets
    {{ every_segment(['ladder', 'unit', 'asked_date', 'grouped_by', 'bucket', 'tier']) }}
),

counted as (
    {{- added_to_counts('sums', keys, counts) }}
),

final as (
    select
        *,
        coalesce(yes / cast(nullif(asks, 0) as double), 0.0) as yes_rate,
        {{ wilson('yes', 'asks', 'low') }} as yes_rate_low,
        {{ wilson('yes', 'asks', 'high') }} as yes_rate_high
    from counted
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    grouped_by,
    bucket,
    tier,
    asks,
    yes,
    yes_rate,
    yes_rate_low,
    yes_rate_high
from final
