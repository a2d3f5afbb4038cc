with

horizon as (
    select max(ended_at) as known_until
    from {{ ref('fct_sessions') }}
),

yeses as (
    select
        yeses.*,
        coalesce(yeses.cheer_seconds <= 10, false) as is_cheered,
        coalesce(yeses.next_window_ends_at <= horizon.known_until, false) as has_next
    from {{ ref('fct_yeses') }} as yeses
    cross join horizon
),

segments as (
    {{ in_every_segment('yeses') }}
),

counted as (
    select
        ladder,
        segment,
        segment_value,
        tier,
        step,
        count(*) as yeses,
        count(rewarded_at) as rewarded,
        {{ quantile('reward_seconds', 0.5) }} as median_reward_seconds,
        count(*) filter (where is_cheered) as cheered,
        count(*) filter (where has_next and is_cheered) as next_asks_cheered,
        count(*) filter (where has_next and is_cheered and next_has_yes) as next_yes_cheered,
        count(*) filter (where has_next and not is_cheered) as next_asks_uncheered,
        count(*) filter (where has_next and not is_cheered and next_has_yes) as next_yes_uncheered
    from segments
    group by ladder, segment, segment_value, tier, step
),

final as (
    select
        counted.*,
        ladder_steps.has_reward,
        ladder_steps.has_cheer,
        rewarded / cast(yeses as double) as rewarded_share,
        {{ wilson('rewarded', 'yeses', 'low') }} as rewarded_share_low,
        {{ wilson('rewarded', 'yeses', 'high') }} as rewarded_share_high,
        cheered / cast(yeses as double) as cheered_share,
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
    segment,
    segment_value,
    tier,
    step,
    has_reward,
    has_cheer,
    yeses,
    rewarded,
    rewarded_share,
    rewarded_share_low,
    rewarded_share_high,
    median_reward_seconds,
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
