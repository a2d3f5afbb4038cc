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
    from asks
    {{ every_segment(['ladder', 'unit', 'asked_date', 'tier', 'step']) }}
),

counted as (
    {{- added_to_counts('sums', keys, counts) }}
),

final as (
    select
        counted.*,
        coalesce(unthinking / cast(nullif(answers, 0) as double), 0.0) as unthinking_share,
        {{ wilson('unthinking', 'answers', 'low') }} as unthinking_share_low,
        {{ wilson('unthinking', 'answers', 'high') }} as unthinking_share_high,
        coalesce(pondered / cast(nullif(answers, 0) as double), 0.0) as pondered_share,
        {{ wilson('pondered', 'answers', 'low') }} as pondered_share_low,
        {{ wilson('pondered', 'answers', 'high') }} as pondered_share_high
    from counted
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
    unthinking,
    unthinking_share,
    unthinking_share_low,
    unthinking_share_high,
    pondered,
    pondered_share,
    pondered_share_low,
    pondered_share_high
from final
