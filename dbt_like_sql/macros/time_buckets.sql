{#
    Times are counted in buckets, since counts can be summed and quantiles cannot.  A bucket reaches from g^(n-1) to g^n
    seconds with g = 1.01 / 0.99, so whatever is in it is within 1 % of 2 g^n / (g + 1): Masson, Rim and Lee (2019),
    "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", PVLDB 12(12).
    No time at all has a bucket of its own.  The same definition as ladder/time_buckets.py; a test compares them.
#}
{% macro no_time() %}-32768{% endmacro %}

{% macro time_bucket(seconds) -%}
    cast(case when {{ seconds }} > 0 then ceil(ln({{ seconds }}) / ln(1.01e0 / 0.99e0)) else {{ no_time() }} end as smallint)
{%- endmacro %}

{% macro bucket_seconds(bucket) -%}
    case when {{ bucket }} > {{ no_time() }} then 2 * power(1.01e0 / 0.99e0, {{ bucket }}) / (1.01e0 / 0.99e0 + 1) when {{ bucket }} = {{ no_time() }} then 0e0 end
{%- endmacro %}

{#
    The bucket that holds the time at a percentage of all `times`, the lower one of two; an aggregate over rows with the
    columns bucket, times_so_far (up to and with the bucket) and times_in_all.
#}
{% macro bucket_at(percent) -%}
    min(case when 100 * times_so_far > {{ percent }} * (times_in_all - 1) then bucket end)
{%- endmacro %}

{# Of the keys of a CTE: the buckets p10, p50 and p90 that a tenth, a half and nine tenths of a measure's times reach. #}
{% macro quantiles_of_times(measure, wanted, keys) %}
    select
        {%- for key in keys %}
        {{ key }},
        {%- endfor %}
        {{ bucket_at(10) }} as p10,
        {{ bucket_at(50) }} as p50,
        {{ bucket_at(90) }} as p90
    from (
        select
            times.*,
            sum(times.times) over (partition by {{ _of('times', keys) }} order by times.bucket) as times_so_far,
            sum(times.times) over (partition by {{ _of('times', keys) }}) as times_in_all
        from {{ ref('fct_times') }} as times
        inner join {{ wanted }}
            on
                {% for key in keys %}{{ "and " if not loop.first }}{{ wanted }}.{{ key }} = times.{{ key }}
                {% endfor %}
        where times.measure = '{{ measure }}'
    ) as cumulated
    group by {{ keys | join(', ') }}
{% endmacro %}

{% macro _of(relation, keys) %}{% for key in keys %}{{ relation }}.{{ key }}{{ ", " if not loop.last }}{% endfor %}{% endmacro %}
