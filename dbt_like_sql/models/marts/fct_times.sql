{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'measure', 'tier', 'step', 'bucket'] %}
{% set counts = ['times'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['times']) }}"
    )
}}

with

taken as (
    select {{ first_touches() | join(', ') }}, change, ladder, unit, asked_date as date, 'answer' as measure, tier, step, answer_seconds as seconds
    from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    where is_mature
    union all
    select {{ first_touches() | join(', ') }}, change, ladder, unit, asked_date, 'first ask', tier, step, landing_seconds
    from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    where is_mature and is_first
    union all
    select {{ first_touches() | join(', ') }}, change, ladder, unit, yes_date, 'reward', tier, step, reward_seconds
    from {{ touched_of('int_yes_changes', 'int_yes_rows') }}
),

buckets as (
    select *, {{ time_bucket('seconds') }} as bucket
    from taken
    where seconds is not null
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        date,
        measure,
        tier,
        step,
        bucket,
        sum(change) as times
    from buckets
    {{ every_segment(['ladder', 'unit', 'date', 'measure', 'tier', 'step', 'bucket']) }}
),

final as (
    {{- added_to_counts('sums', keys, counts) }}
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
    bucket,
    times
from final
