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

{# The engine's name of a type that a contract names as DuckDB does. #}
{% macro spark_type(name) -%}
    {%- set names = {'varchar': 'string', 'integer': 'int', 'timestamp with time zone': 'timestamp'} -%}
    {%- if name.endswith('[]') -%}array<{{ spark_type(name[:-2]) }}>{%- else -%}{{ names.get(name, name) }}{%- endif -%}
{%- endmacro %}

{# dbt's own: the columns of a contract, without rows; what a model's rows are held against. #}
{% macro spark__get_empty_schema_sql(columns) %}
    select
        {%- for column in columns.values() %}
        cast(null as {{ spark_type(column['data_type']) }}) as {{ column['name'] }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
{% endmacro %}

{# dbt's own: a model's rows under its contract; a null where there may be none fails the model. #}
{% macro spark__get_select_subquery(sql) %}
    select
        {%- for column in model['columns'].values() %}
        {%- set is_needed = column.get('constraints', []) | selectattr('type', 'equalto', 'not_null') | list %}
        {% if is_needed -%}
        coalesce({{ column['name'] }}, raise_error('{{ column['name'] }} is null')) as {{ column['name'] }}
        {%- else -%}
        {{ column['name'] }}
        {%- endif %}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ sql }}
    ) as model_subq
{% endmacro %}

{# dbt's own: constraints set on a table afterwards, which Parquet has not; they are in the select above. #}
{% macro spark__persist_constraints(relation, model) %}{% endmacro %}

{# Spark's builds are always full: what DuckDB builds by differences, it builds as a table. #}
{% materialization incremental, adapter='spark' %}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}

{# Rows that are asked for together lie together, so that a question reads few blocks of a table; ends a model. #}
{% macro lie_by(columns) %}{{ return(adapter.dispatch('lie_by')(columns)) }}{% endmacro %}
{% macro default__lie_by(columns) %}order by {{ columns }}{% endmacro %}
{% macro spark__lie_by(columns) %}sort by {{ columns }}{% endmacro %}
