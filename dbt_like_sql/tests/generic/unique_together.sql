{#
    No two rows share the columns.  Of an incremental model only the rows that an incremental build touched can break
    that: `touched` (a ref) lists them by `key`.
#}
{% test unique_together(model, columns, key=none, touched=none) %}
    select {{ columns | join(', ') }}, count(*) as rows_found
    from {{ model }}
    {% if touched and not is_full_build() %}where {{ key }} in (select {{ key }} from {{ touched }}){% endif %}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
