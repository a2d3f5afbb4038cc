{{ config(severity="warn") }}
{% set touched = ref('int_touched_visitors') %}

-- Of touched visitors.  A warning only: a file read in beside the stream may bring sessions of the same hours.
with

sessions as (
    select session_id, visitor_id, started_at, ended_at
    from {{ ref('fct_sessions') }}
    {% if not is_full_build() %}where visitor_id in (select visitor_id from {{ touched }}){% endif %}
),

with_previous as (
    select
        session_id,
        started_at,
        lag(ended_at) over (partition by visitor_id order by started_at, ended_at, session_id) as previous_ended_at
    from sessions
)

select session_id, started_at, previous_ended_at
from with_previous
where started_at < previous_ended_at
