{#
    What an incremental model recomputes: the rows of the sessions, visitors or events that `touched` lists.

    `forget` is its pre-hook: it deletes them by key (so what has no rows any more leaves none behind, as an upsert
    would), `where_touched` filters what it reads.  Both do nothing in a full build.
    Both call ref() outside the condition, since dbt sees no dependency inside is_incremental().
#}
{% macro forget(key, touched) %}
    {%- set touched_rows = ref(touched) -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where {{ key }} in (select {{ key }} from {{ touched_rows }})
    {%- endif -%}
{% endmacro %}

{% macro where_touched(key, touched) %}
    {%- set touched_rows = ref(touched) -%}
    {%- if is_incremental() -%}
        where {{ key }} in (select {{ key }} from {{ touched_rows }})
    {%- endif -%}
{% endmacro %}
