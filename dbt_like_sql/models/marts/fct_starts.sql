{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'start', 'tier'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['units']) }}"
    )
}}

with

starts as (
    select * from {{ touched_of('int_start_changes', 'int_start_rows') }}
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        date,
        start,
        tier,
        sum(change) as units,
        {{ net('is_mature') }} as asks,
        {{ net('is_mature and is_yes') }} as yes,
        {{ net('not is_mature') }} as in_flight
    from starts
    {{ every_segment(['ladder', 'unit', 'date', 'start', 'tier']) }}
),

counted as (
    {{- added_to_counts('sums', keys, ['units', 'asks', 'yes', 'in_flight']) }}
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
    start,
    tier,
    units,
    asks,
    yes,
    in_flight,
    yes_rate,
    yes_rate_low,
    yes_rate_high
from final
