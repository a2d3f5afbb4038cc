{# What is counted of units that met a tier or step. #}
{% macro outcome_columns() %}
    {{- return([
        'ladder', 'unit', 'date', 'tier', 'step', 'is_asked', 'is_yes', 'is_no', 'is_silent', 'is_implicit', 'is_reached',
        'is_next_reached', 'is_in_flight', 'is_matured', 'is_matured_yes',
    ]) -}}
{% endmacro %}

{# The counts of these, in the order of the marts. #}
{% macro outcome_counts() %}
    {{- return([
        'asked', 'yes', 'no', 'silent', 'implicit', 'reached', 'reached_next', 'in_flight', 'matured', 'matured_yes',
    ]) -}}
{% endmacro %}

{% macro outcome_sums() -%}
    {{ net('is_asked') }} as asked,
        {{ net('is_yes') }} as yes,
        {{ net('is_no') }} as no,
        {{ net('is_silent') }} as silent,
        {{ net('is_implicit') }} as implicit,
        {{ net('is_reached') }} as reached,
        {{ net('is_next_reached') }} as reached_next,
        {{ net('is_in_flight') }} as in_flight,
        {{ net('is_matured') }} as matured,
        {{ net('is_matured_yes') }} as matured_yes
{%- endmacro %}
