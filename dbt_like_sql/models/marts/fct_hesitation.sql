with

asks as (
    select * from {{ ref('int_ask_segments') }}
    where is_mature and answer_seconds is not null
),

counted as (
    select
        ladder,
        segment,
        segment_value,
        tier,
        step,
        count(*) as answers,
        {{ quantile('answer_seconds', 0.1) }} as p10_seconds,
        {{ quantile('answer_seconds', 0.5) }} as median_seconds,
        {{ quantile('answer_seconds', 0.9) }} as p90_seconds,
        count(*) filter (where answer_seconds < 1) as unthinking,
        count(*) filter (where answer_seconds >= 60) as pondered
    from asks
    group by ladder, segment, segment_value, tier, step
),

final as (
    select
        *,
        unthinking / cast(answers as double) as unthinking_share,
        {{ wilson('unthinking', 'answers', 'low') }} as unthinking_share_low,
        {{ wilson('unthinking', 'answers', 'high') }} as unthinking_share_high,
        pondered / cast(answers as double) as pondered_share,
        {{ wilson('pondered', 'answers', 'low') }} as pondered_share_low,
        {{ wilson('pondered', 'answers', 'high') }} as pondered_share_high
    from counted
)

select
    ladder,
    segment,
    segment_value,
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
