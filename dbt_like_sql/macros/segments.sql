{#
    The rows of a CTE with a visitor_id, once for all (segment "all") and once for each first-touch column of the visitor.
    A visitor without a value has the empty one.
#}
{% macro in_every_segment(rows) %}
    {%- set columns = ['page_url', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'device_class'] -%}
    select {{ rows }}.*, 'all' as segment, '' as segment_value
    from {{ rows }}
    {%- for column in columns %}
    union all
    select {{ rows }}.*, 'first_{{ column }}', coalesce(visitors.first_{{ column }}, '')
    from {{ rows }}
    inner join {{ ref('dim_visitors') }} as visitors on visitors.visitor_id = {{ rows }}.visitor_id
    {%- endfor %}
{% endmacro %}
