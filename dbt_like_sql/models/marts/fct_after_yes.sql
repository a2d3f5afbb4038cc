{% set keys = ['ladder', 'unit', 'segment', 'segment_value', 'date', 'tier', 'step'] %}
{% set counts = ['yeses', 'rewarded', 'cheered', 'next_asks_cheered', 'next_yes_cheered', 'next_asks_uncheered', 'next_yes_uncheered'] %}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=keys,
        on_schema_change='fail',
        post_hook="{{ forget_empty(['yeses', 'rewarded', 'cheered', 'next_asks_cheered', 'next_yes_cheered', 'next_asks_uncheered', 'next_yes_uncheered']) }}"
    )
}}

with

yeses as (
    select
        *,
        coalesce(cheer_seconds <= 10, false) as is_cheered,
        coalesce(next_is_mature, false) as has_next
    from {{ touched_of('int_yes_changes', 'int_yes_rows') }}
),

sums as (
    select
        ladder,
        unit,
        {{ segment_columns() }},
        yes_date as date,
        tier,
        step,
        sum(change) as yeses,
        {{ net("reward_seconds is not null") }} as rewarded,
        {{ net("is_cheered") }} as cheered,
        {{ net("has_next and is_cheered") }} as next_asks_cheered,
        {{ net("has_next and is_cheered and next_has_yes") }} as next_yes_cheered,
        {{ net("has_next and not is_cheered") }} as next_asks_uncheered,
        {{ net("has_next and not is_cheered and next_has_yes") }} as next_yes_uncheered
    from yeses
    {{ every_segment(['ladder', 'unit', 'yes_date', 'tier', 'step']) }}
),

counted as (
    {{- added_to_counts('sums', keys, counts) }}
),

final as (
    select
        counted.*,
        ladder_steps.has_reward,
        ladder_steps.has_cheer,
        coalesce(rewarded / cast(nullif(yeses, 0) as double), 0.0) as rewarded_share,
        {{ wilson('rewarded', 'yeses', 'low') }} as rewarded_share_low,
        {{ wilson('rewarded', 'yeses', 'high') }} as rewarded_share_high,
        coalesce(cheered / cast(nullif(yeses, 0) as double), 0.0) as cheered_share,
        {{ wilson('cheered', 'yeses', 'low') }} as cheered_share_low,
        {{ wilson('cheered', 'yeses', 'high') }} as cheered_share_high,
        coalesce(next_yes_cheered / cast(nullif(next_asks_cheered, 0) as double), 0.0) as next_rate_cheered,
        {{ wilson('next_yes_cheered', 'next_asks_cheered', 'low') }} as next_rate_cheered_low,
        {{ wilson('next_yes_cheered', 'next_asks_cheered', 'high') }} as next_rate_cheered_high,
        coalesce(next_yes_uncheered / cast(nullif(next_asks_uncheered, 0) as double), 0.0) as next_rate_uncheered,
        {{ wilson('next_yes_uncheered', 'next_asks_uncheered', 'low') }} as next_rate_uncheered_low,
        {{ wilson('next_yes_uncheered', 'next_asks_uncheered', 'high') }} as next_rate_uncheered_high
    from counted
    inner join {{ source('lake', 'ladder_steps') }} as ladder_steps
        on
            ladder_steps.ladder = counted.ladder and ladder_steps.tier = counted.tier
            and ladder_steps.step = counted.step
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    tier,
    step,
    has_reward,
    has_cheer,
    yeses,
    rewarded,
    rewarded_share,
    rewarded_share_low,
    rewarded_share_high,
    cheered,
    cheered_share,
    cheered_share_low,
    cheered_share_high,
    next_asks_cheered,
    next_yes_cheered,
    next_rate_cheered,
    next_rate_cheered_low,
    next_rate_cheered_high,
    next_asks_uncheered,
    next_yes_uncheered,
    next_rate_uncheered,
    next_rate_uncheered_low,
    next_rate_uncheered_high
from final
