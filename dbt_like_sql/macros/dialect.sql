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

{# One row per element of a list, as a struct of its place (from 1) and the entry; stands where explode may stand. #}
{% macro explode_places(list) %}{{ return(adapter.dispatch('explode_places')(list)) }}{% endmacro %}
{% macro default__explode_places(list) %}unnest(list_transform({{ list }}, lambda entry, place: struct_pack(place := place, entry := entry))){% endmacro %}
{% macro spark__explode_places(list) %}explode(transform({{ list }}, (entry, place) -> struct(place + 1 as place, entry as entry))){% endmacro %}

{# An aggregate: the values as a list, in the order of another expression. #}
{% macro list_in_order(value, order_by) %}
    {{- return(adapter.dispatch('list_in_order')(value, order_by)) -}}
{% endmacro %}
{% macro default__list_in_order(value, order_by) %}list({{ value }} order by {{ order_by }}){% endmacro %}
{% macro spark__list_in_order(value, order_by) %}
    {{- "transform(array_sort(collect_list(struct(" ~ order_by ~ " as o, " ~ value ~ " as v))), x -> x.v)" -}}
{% endmacro %}

{# An aggregate: the sum of floats, added in the order of another expression, so that it is the same every time. #}
{% macro sum_in_order(value, order_by) %}{{ return(adapter.dispatch('sum_in_order')(value, order_by)) }}{% endmacro %}
{% macro default__sum_in_order(value, order_by) %}sum({{ value }} order by {{ order_by }}){% endmacro %}
{% macro spark__sum_in_order(value, order_by) %}
    {{- "aggregate(" ~ spark__list_in_order(value, order_by) ~ ", cast(0 as double), (sum, x) -> sum + x)" -}}
{% endmacro %}

{# An aggregate: a quantile of a number, interpolated. #}
{% macro quantile(value, share) %}{{ return(adapter.dispatch('quantile')(value, share)) }}{% endmacro %}
{% macro default__quantile(value, share) %}quantile_cont({{ value }}, {{ share }}){% endmacro %}
{% macro spark__quantile(value, share) %}percentile({{ value }}, {{ share }}){% endmacro %}
