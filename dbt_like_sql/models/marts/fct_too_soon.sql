{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'asked', 'tier', 'step'] %}
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
    select *, case when leap > 1 then 'too soon' else 'in order' end as asked
    from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    union all
    select *, 'first'
    from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    where is_first
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        asked_date as date,
        asked,
        tier,
        step,
        {{ net("is_mature") }} as asks,
        {{ net("is_mature and answer = 'yes'") }} as yes,
        {{ net("is_mature and answer = 'no'") }} as no,
        {{ net("is_mature and answer is null") }} as silent,
        {{ net("not is_mature") }} as in_flight,
        {{ net("is_mature and is_loss") }} as lost
    from asks
    {{ every_segment(['ladder', 'unit', 'asked_date', 'asked', 'tier', 'step']) }}
),

counted as (
    {{- added_to_counts('sums', keys, counts) }}
),

final as (
    select
        *,
        coalesce(yes / cast(nullif(asks, 0) as double), 0.0) as yes_rate,
        {{ wilson('yes', 'asks', 'low') }} as yes_rate_low,
        {{ wilson('yes', 'asks', 'high') }} as yes_rate_high,
        coalesce(lost / cast(nullif(asks, 0) as double), 0.0) as lost_share,
        {{ wilson('lost', 'asks', 'low') }} as lost_share_low,
        {{ wilson('lost', 'asks', 'high') }} as lost_share_high
    from counted
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    asked,
    tier,
    step,
    asks,
    yes,
    no,
    silent,
    in_flight,
    lost,
    yes_rate,
    yes_rate_low,
    yes_rate_high,
    lost_share,
    lost_share_low,
    lost_share_high
from final
