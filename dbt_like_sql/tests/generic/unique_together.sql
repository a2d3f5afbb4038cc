{#
    No two rows share the columns, and every row satisfies the `condition`, if there is one.  Of an incremental model
    only the rows that an incremental build touched can break that: `touched` (a ref) lists them by `key`, there called
    `touched_key` where its name is another.
#}
{% test unique_together(model, columns, condition=none, key=none, touched=none, touched_key=none) %}
    {%- set breaks = "count(*) > 1" ~ (" or not bool_and(coalesce(" ~ condition ~ ", false))" if condition else "") %}
    select {{ columns | join(', ') }}, count(*) as rows_found
    from {{ model }}
    {% if touched and not is_full_build() %}where {{ key }} in (select {{ touched_key or key }} from {{ touched }}){% endif %}
    group by {{ columns | join(', ') }}
    having {{ breaks }}
{% endtest %}
