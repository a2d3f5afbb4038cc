{# Of the rows that the last build touched, each is found by its key in another model. #}
{% test found_in(model, column_name, to, touched_key, touched) %}
    with

    touched_rows as (
        select {{ column_name }} as looked_for
        from {{ model }}
        where {{ touched_key }} in (select {{ touched_key }} from {{ touched }})
    )

    select looked_for
    from touched_rows
    where not exists (select 1 from {{ to }} as there where there.{{ column_name }} = touched_rows.looked_for)
{% endtest %}
