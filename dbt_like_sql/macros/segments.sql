{# The columns of dim_visitors by which people can be told apart. #}
{% macro first_touches() %}
    {{- return(['first_page_url', 'first_referrer', 'first_utm_source', 'first_utm_medium', 'first_utm_campaign', 'first_device_class']) -}}
{% endmacro %}

{#
    A count for all visitors (segment "all") and once more for each value of each first touch; a visitor without a value
    has the empty one.  `every_segment` is the group by, and `segment_columns` stands in the column list beside it.
#}
{% macro every_segment(keys) -%}
    group by grouping sets (
        ({{ keys | join(', ') }})
        {%- for column in first_touches() %},
        ({{ keys | join(', ') }}, {{ column }})
        {%- endfor %}
    )
{%- endmacro %}

{% macro segment_columns() -%}
    case
        {%- for column in first_touches() %}
        when grouping({{ column }}) = 0 then '{{ column }}'
        {%- endfor %}
        else 'all'
    end as segment,
    case
        {%- for column in first_touches() %}
        when grouping({{ column }}) = 0 then {{ column }}
        {%- endfor %}
        else ''
    end as segment_value
{%- endmacro %}
