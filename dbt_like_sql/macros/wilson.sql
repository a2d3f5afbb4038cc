{#
    An end (`low` or `high`) of Wilson's score interval at 95 % for successes of trials; 0 and 1 where there are no trials.
    The same definition as ladder/rates.py; a test compares them.
#}
{% macro wilson(successes, trials, end) %}
    {%- set z = 1.959963984540054 -%}
    {%- set n = "cast(" ~ trials ~ " as double)" -%}
    {%- set share = "(" ~ successes ~ " / " ~ n ~ ")" -%}
    {%- set centre = "(" ~ share ~ " + " ~ (z * z / 2) ~ " / " ~ n ~ ")" -%}
    {%- set half = "(" ~ z ~ " * sqrt(" ~ share ~ " * (1 - " ~ share ~ ") / " ~ n ~ " + " ~ (z * z / 4) ~ " / (" ~ n ~ " * " ~ n ~ ")))" -%}
    {%- set scale = "(1 + " ~ (z * z) ~ " / " ~ n ~ ")" -%}
    {%- if end == 'low' -%}
        case when {{ successes }} = 0 then 0.0 else greatest(0.0, ({{ centre }} - {{ half }}) / {{ scale }}) end
    {%- else -%}
        case when {{ successes }} = {{ trials }} then 1.0 else least(1.0, ({{ centre }} + {{ half }}) / {{ scale }}) end
    {%- endif -%}
{% endmacro %}
