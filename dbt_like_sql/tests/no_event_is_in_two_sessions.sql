{% set touched, all = ref('int_touched_sessions'), ref('stg_sessions') %}

-- Of the sessions that this build touched, no two hold one event, unless its second place is known as a repetition.
with

sessions as (
    select session_id, sequence
    from {{ all if is_full_build() else touched }}
),

entries as (
    select session_id, {{ explode('sequence') }} as entry
    from sessions
),

places as (
    select distinct session_id, entry.event_id as event_id
    from entries
),

counted_places as (
    select places.session_id, places.event_id
    from places
    left join {{ ref('int_repeated_events') }} as repeated
        on repeated.session_id = places.session_id and repeated.event_id = places.event_id
    where repeated.event_id is null
)

select event_id, count(*) as sessions
from counted_places
group by event_id
having count(*) > 1
