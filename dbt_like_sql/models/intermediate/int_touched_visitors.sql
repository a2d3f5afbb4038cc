{%- set asks = adapter.get_relation(database=target.database, schema=target.schema, identifier='fct_asks') if execute -%}

-- The asks are those of the last build: as a ref they would make a circle.  With time, windows close by themselves.
with

of_sessions as (
    select visitor_id from {{ ref('int_touched_sessions') }}
),

of_links as (
    select visitor_id
    from {{ source('lake', 'events') }}
    where is_new and kind in ('identify', 'alias')
),

horizon as (
    select max(ended_at) as known_until
    from {{ ref('fct_sessions') }}
),

of_windows as (
    {%- if asks is not none and not is_full_build() %}
    select asks.visitor_id
    from {{ asks }} as asks
    cross join horizon
    where asks.unit = 'visitor' and asks.is_mature <> (asks.window_ends_at <= horizon.known_until)
    {%- else %}
    select '' as visitor_id
    from horizon
    where false
    {%- endif %}
),

final as (
    select visitor_id from of_sessions
    union
    select visitor_id from of_links
    union
    select visitor_id from of_windows
)

select visitor_id
from final
{% if is_full_build() %}where false{% endif %}
