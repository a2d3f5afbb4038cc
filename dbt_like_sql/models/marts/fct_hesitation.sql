{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'tier', 'step'] %}
{% set counts = ['answers', 'unthinking', 'pondered'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['answers', 'unthinking', 'pondered']) }}"
    )
}}

with

asks as (
    select * from {{ touched_of('int_ask_changes', 'int_ask_rows') }}
    where is_mature and answer_seconds is not null
),

taken as (
    {{- cancelled_out('asks', ['ladder', 'unit', 'asked_date', 'tier', 'step', 'answer_seconds']) }}
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        asked_date as date,
        tier,
        step,
        sum(change) as answers,
        {{ net("answer_seconds < 1") }} as unthinking,
        {{ net("answer_seconds >= 60") }} as pondered
    from taken
    {{ every_segment(['ladder', 'unit', 'asked_date', 'tier', 'step']) }}
),

counted as (
    {{- added_to_counts('sums', keys, counts, also_unchanged=true) }}
),

quantiles as (
    {{- quantiles_of_times('answer', 'counted', keys) }}
),

final as (
    select
        counted.*,
        coalesce({{ bucket_seconds('p10') }}, 0.0) as p10_seconds,
        coalesce({{ bucket_seconds('p50') }}, 0.0) as median_seconds,
        coalesce({{ bucket_seconds('p90') }}, 0.0) as p90_seconds,
        coalesce(unthinking / cast(nullif(answers, 0) as double), 0.0) as unthinking_share,
        {{ wilson('unthinking', 'answers', 'low') }} as unthinking_share_low,
        {{ wilson('unthinking', 'answers', 'high') }} as unthinking_share_high,
        coalesce(pondered / cast(nullif(answers, 0) as double), 0.0) as pondered_share,
        {{ wilson('pondered', 'answers', 'low') }} as pondered_share_low,
        {{ wilson('pondered', 'answers', 'high') }} as pondered_share_high
    from counted
    left join quantiles
        on
            {% for key in keys %}{{ "and " if not loop.first }}quantiles.{{ key }} = counted.{{ key }}
            {% endfor %}
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    tier,
    step,
    answers,
    p10_seconds,
    median_seconds,
    p90_seconds,
    unthinking,
    unthinking_share,
    unthinking_share_low,
    unthinking_share_high,
    pondered,
    pondered_share,
    pondered_share_low,
    pondered_share_high
from final
