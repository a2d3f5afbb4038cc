-- No date is lost and none is counted twice between the daily rows and the totals.
with

by_date as (
    select sum(asked) as asked, sum(yes) as yes, sum(reached) as reached
    from {{ ref('fct_tier_dropoff') }}
    where segment = 'all'
),

totals as (
    select sum(asked) as asked, sum(yes) as yes, sum(reached) as reached from {{ ref('fct_tier_totals') }}
)

select *
from by_date
cross join totals
where
    coalesce(by_date.asked, 0) <> totals.asked
    or coalesce(by_date.yes, 0) <> totals.yes
    or coalesce(by_date.reached, 0) <> totals.reached
