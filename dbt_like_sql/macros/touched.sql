{#
    What an incremental build recomputes: the rows of the sessions, visitors or events that changed since the last one.

    `forget` is a pre-hook of incremental models: it deletes touched rows by key, so what has no rows any more leaves
    none behind, as an upsert would.  `touched_of` names the relation a model reads: the touched rows, or all of them in
    a full build.  `where_touched` filters by key instead, where there is no such relation.  Tests ask `is_full_build`,
    since they have no table of their own to tell by; the lists of what is touched stay empty then.
    Models call ref() outside the condition, since dbt sees no dependency inside is_incremental().
#}
{% macro forget(key, touched) %}
    {%- set touched_rows = ref(touched) -%}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where {{ key }} in (select {{ key }} from {{ touched_rows }})
    {%- endif -%}
{% endmacro %}

{% macro touched_of(touched, all) %}
    {%- set touched_rows, all_rows = ref(touched), ref(all) -%}
    {{- touched_rows if is_incremental() else all_rows -}}
{% endmacro %}

{% macro where_touched(key, touched) %}
    {%- set touched_rows = ref(touched) -%}
    {%- if is_incremental() -%}
        where {{ key }} in (select {{ key }} from {{ touched_rows }})
    {%- endif -%}
{% endmacro %}

{% macro is_full_build() %}{{ return(flags.FULL_REFRESH) }}{% endmacro %}
