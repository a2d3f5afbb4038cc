{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'tier'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['asked', 'reached']) }}"
    )
}}

with

outcomes as (
    select * from {{ touched_of('int_outcome_changes', 'int_outcome_rows') }} where step is null
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        date,
        tier,
        {{ outcome_sums() }}
    from outcomes
    {{ every_segment(['ladder', 'unit', 'date', 'tier']) }}
),

counted as (
    {{- added_to_counts('sums', keys, outcome_counts()) }}
),

final as (
    select
        counted.*,
        ladder_tiers.name as tier_name,
        {{ drop_off_rates('ladder_tiers.next_tier is not null') }}
    from counted
    inner join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = counted.ladder and ladder_tiers.tier = counted.tier
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
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
