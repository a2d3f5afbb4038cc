{# All that differs between SQL engines.  Another engine adds its own prefix__ versions here and nowhere else. #}

{# The UTC day of an instant. #}
{% macro utc_date(instant) %}{{ return(adapter.dispatch('utc_date')(instant)) }}{% endmacro %}
{% macro default__utc_date(instant) %}cast({{ instant }} at time zone 'UTC' as date){% endmacro %}
{% macro spark__utc_date(instant) %}cast({{ instant }} as date){% endmacro %}

{# An instant some microseconds later. #}
{% macro add_microseconds(instant, microseconds) %}
    {{- return(adapter.dispatch('add_microseconds')(instant, microseconds)) -}}
{% endmacro %}
{% macro default__add_microseconds(instant, microseconds) %}{{ instant }} + to_microseconds({{ microseconds }}){% endmacro %}
{% macro spark__add_microseconds(instant, microseconds) %}timestampadd(microsecond, {{ microseconds }}, {{ instant }}){% endmacro %}

{# Seconds, with their fraction, from one instant to a later one. #}
{% macro seconds_between(earlier, later) %}
    {{- return(adapter.dispatch('seconds_between')(earlier, later)) -}}
{% endmacro %}
{% macro default__seconds_between(earlier, later) %}date_diff('microsecond', {{ earlier }}, {{ later }}) / 1e6{% endmacro %}
{% macro spark__seconds_between(earlier, later) %}timestampdiff(microsecond, {{ earlier }}, {{ later }}) / 1e6{% endmacro %}

{# One row per element of a list; stands in the column list of a select. #}
{% macro explode(list) %}{{ return(adapter.dispatch('explode')(list)) }}{% endmacro %}
{% macro default__explode(list) %}unnest({{ list }}){% endmacro %}
{% macro spark__explode(list) %}explode({{ list }}){% endmacro %}

{# An aggregate: the values as a list, in the order of another expression. #}
{% macro list_in_order(value, order_by) %}
    {{- return(adapter.dispatch('list_in_order')(value, order_by)) -}}
{% endmacro %}
{% macro default__list_in_order(value, order_by) %}list({{ value }} order by {{ order_by }}){% endmacro %}
{% macro spark__list_in_order(value, order_by) %}
    {{- "transform(array_sort(collect_list(struct(" ~ order_by ~ " as o, " ~ value ~ " as v))), x -> x.v)" -}}
{% endmacro %}
