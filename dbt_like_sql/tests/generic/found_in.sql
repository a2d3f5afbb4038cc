{# Each row is found by its key in another model; after an incremental build, each row that it touched. #}
{% test found_in(model, column_name, to, touched_key, touched) %}
    with

    looked_for as (
        select {{ column_name }} as looked_for
        from {{ model }}
        {% if not is_full_build() %}where {{ touched_key }} in (select {{ touched_key }} from {{ touched }}){% endif %}
    )

    select looked_for
    from looked_for
    where not exists (select 1 from {{ to }} as there where there.{{ column_name }} = looked_for.looked_for)
{% endtest %}
