{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'held_tier', 'tier'] %}
{% set counts = ['asks', 'yes', 'no', 'silent', 'in_flight', 'lost'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['asks', 'yes', 'no', 'silent', 'in_flight', 'lost']) }}"
    )
}}

with

asks as (
    select * from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        asked_date as date,
        held_tier,
        tier,
        {{ net("is_mature") }} as asks,
        {{ net("is_mature and answer = 'yes'") }} as yes,
        {{ net("is_mature and answer = 'no'") }} as no,
        {{ net("is_mature and answer is null") }} as silent,
        {{ net("not is_mature") }} as in_flight,
        {{ net("is_mature and is_loss") }} as lost
    from asks
    {{ every_segment(['ladder', 'unit', 'asked_date', 'held_tier', 'tier']) }}
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
    held_tier,
    tier,
    asks,
    yes,
    no,
    silent,
    in_flight,
    lost,
    yes_rate,
    yes_rate_low,
    yes_rate_high
from final
