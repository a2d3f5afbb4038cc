{#
    Counts that are kept by exact integer differences: what was counted, plus the new rows of touched visitors, less
    those they had before.  A counting mart then costs what changed, whatever history holds.

    1.  The model with the rows has two pre-hooks, in this order: `remember`, which puts the rows that are about to go
        into intermediate.<model>_before, and `forget`.
    2.  A view gives all its rows (`counted_rows`), a table those that changed (`changed_rows`): both with the column
        `change`, how often a row counts: 1, in the table also -1 for a row that is no more.  Both have the first touch
        of their visitor, of then and of now.
    3.  A counting mart reads `touched_of(the table, the view)`, sums `net(condition)` over `every_segment`, and hands
        the sums to `added_to_counts`.  It is incremental by delete+insert with its grain as unique_key, which makes
        its rows before it deletes any, and `forget_empty` is its post-hook: keys that nothing is counted of any more.
#}
{% macro remember(key, touched) %}
    {%- set touched_rows = ref(touched) -%}
    {%- if execute and is_incremental() -%}
        create or replace table {{ remembered(this) }} as
        select * from {{ this }} where {{ key }} in (select {{ key }} from {{ touched_rows }})
    {%- endif -%}
{% endmacro %}

{# Where `remember` puts the rows of a relation. #}
{% macro remembered(relation) -%}
    {{- return(relation.incorporate(path={"schema": "intermediate", "identifier": relation.identifier ~ "_before"})) -}}
{%- endmacro %}

{# All rows of a model with a visitor_id: these columns, the first touch of the visitor, change = 1. #}
{% macro counted_rows(model, columns) %}
    {{- _with_first_touch(ref(model), ref('dim_visitors'), columns, 1) -}}
{% endmacro %}

{# Its rows of touched visitors that were not so before (change > 0), and those that are so no more (change < 0). #}
{% macro changed_rows(model, columns) %}
    {%- set touched_visitors, rows, visitors = ref('int_touched_visitors'), ref(model), ref('dim_visitors') -%}
    {%- if is_full_build() -%}
    {{ _with_first_touch(rows, visitors, columns, 1) }}
    where false
    {%- else -%}
    {%- set kept = columns + first_touches() %}
    with

    now_and_before as (
        {{ _with_first_touch(rows, visitors, columns, 1) }}
        where counted.visitor_id in (select visitor_id from {{ touched_visitors }})
        union all
        {{ _with_first_touch(remembered(rows), remembered(visitors), columns, -1) }}
    )

    select {{ kept | join(', ') }}, cast(sum(change) as bigint) as change
    from now_and_before
    group by {{ kept | join(', ') }}
    having sum(change) <> 0
    {%- endif -%}
{% endmacro %}

{% macro _with_first_touch(rows, visitors, columns, change) -%}
    select
        {% for column in columns %}counted.{{ column }}, {% endfor %}
        {% for column in first_touches() %}coalesce(visitors.{{ column }}, '') as {{ column }}, {% endfor %}
        cast({{ change }} as bigint) as change
    from {{ rows }} as counted
    inner join {{ visitors }} as visitors on visitors.visitor_id = counted.visitor_id
{%- endmacro %}

{# How many rows fulfil a condition, less those that did before. #}
{% macro net(condition) %}sum(case when {{ condition }} then change else 0 end){% endmacro %}

{#
    A CTE of sums with these keys, added to the counts that stand in this mart.  Keys whose counts stay as they are are
    left out.
#}
{% macro added_to_counts(sums, keys, counts) %}
    select
        {%- for key in keys %}
        {{ sums }}.{{ key }},
        {%- endfor %}
        {%- for count in counts %}
        cast({{ sums }}.{{ count }}{% if is_incremental() %} + coalesce(standing.{{ count }}, 0){% endif %} as bigint) as {{ count }}
        {{- "," if not loop.last }}
        {%- endfor %}
    from {{ sums }}
    {%- if is_incremental() %}
    left join {{ this }} as standing
        on
            {% for key in keys %}{{ "and " if not loop.first }}standing.{{ key }} = {{ sums }}.{{ key }}
            {% endfor %}
    where {% for count in counts %}{{ "or " if not loop.first }}{{ sums }}.{{ count }} <> 0 {% endfor %}
    {%- endif %}
{% endmacro %}

{# A post-hook of counting marts: a row with all these counts at zero is one that a full build would not have. #}
{% macro forget_empty(counts) %}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where {{ counts | join(' = 0 and ') }} = 0
    {%- endif -%}
{% endmacro %}
