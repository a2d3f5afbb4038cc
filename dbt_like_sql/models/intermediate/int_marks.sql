{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget('session_id', 'int_touched_sessions') }}"
    )
}}

with

sessions as (
    select session_id, ladder, visitor_id, started_at
    from {{ touched_of('int_touched_sessions', 'stg_sessions') }}
),

entries as (
    select session_id, {{ explode_places('sequence') }} as found
    from {{ touched_of('int_touched_sessions', 'stg_sessions') }}
),

marks as (
    select
        session_id,
        found.entry.event_id as event_id,
        min(found.place) over (partition by session_id, found.entry.event_id) as event_place,
        found.entry.tier as tier,
        found.entry.role as role,
        found.entry.step as step,
        found.entry.offset_us as offset_us
    from entries
    where found.entry.role is not null
),

marks_counted_once as (
    select marks.*
    from marks
    left join {{ ref('int_repeated_events') }} as repeated
        on repeated.session_id = marks.session_id and repeated.event_id = marks.event_id
    where repeated.event_id is null
),

final as (
    select
        marks_counted_once.*,
        sessions.ladder,
        sessions.visitor_id,
        {{ add_microseconds('sessions.started_at', 'marks_counted_once.offset_us') }} as occurred_at
    from marks_counted_once
    inner join sessions on sessions.session_id = marks_counted_once.session_id
)

select
    ladder,
    visitor_id,
    session_id,
    event_id,
    event_place,
    tier,
    role,
    step,
    offset_us,
    occurred_at
from final
