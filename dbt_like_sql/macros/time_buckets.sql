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
    case when {{ bucket }} > {{ no_time() }} then 2 * power(1.01e0 / 0.99e0, {{ bucket }}) / (1.01e0 / 0.99e0 + 1) else 0e0 end
{%- endmacro %}

{#
    The bucket that holds the time at a percentage of all `times`, the lower one of two; an aggregate over rows with the
    columns bucket, times_so_far (up to and with the bucket) and times_in_all.
#}
{% macro bucket_at(percent) -%}
    min(case when 100 * times_so_far > {{ percent }} * (times_in_all - 1) then bucket end)
{%- endmacro %}
