{{ config(materialized='view') }}

with

counts as (
    select
        *,
        cast(sum(units) over (partition by ladder, unit, segment, segment_value, date) as bigint) as of_units
    from {{ ref('int_standing_counts') }}
),

final as (
    select
        counts.*,
        coalesce(ladder_tiers.name, 'none') as tier_name,
        coalesce(ladder_tiers.stage, 'curious') as identity_stage,
        {{ share_columns('share', 'units', 'of_units') }}
    from counts
    left join {{ source('lake', 'ladder_tiers') }} as ladder_tiers
        on ladder_tiers.ladder = counts.ladder and ladder_tiers.tier = counts.tier
)

select
    ladder,
    unit,
    segment,
    segment_value,
    date,
    tier,
    tier_name,
    identity_stage,
    units,
    of_units,
    share,
    share_low,
    share_high
from final
