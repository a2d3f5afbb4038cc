{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'tier'] %}
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

standings as (
    select * from {{ touched_of('int_standing_changes', 'int_standing_rows') }}
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        date,
        tier,
        sum(change) as units
    from standings
    {{ every_segment(['ladder', 'unit', 'date', 'tier']) }}
),

final as (
    {{- added_to_counts('sums', keys, ['units']) }}
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    tier,
    units
from final
