{#
    Columns of rates from counts of units: drop-off of all asked and of the matured, and reached to reached next, each
    with the ends of its 95 % interval.  `has_next`: whether the ladder gives any yes above the tier; null without.
#}
{% macro drop_off_rates(has_next) %}
    {{- share_columns('drop_off', '(asked - yes)', 'asked') }},
    {{ share_columns('matured_drop_off', '(matured - matured_yes)', 'matured') }},
    case when {{ has_next }} then coalesce(reached_next / cast(nullif(reached, 0) as double), 0.0) end as reached_next_share,
    case when {{ has_next }} then {{ wilson('reached_next', 'reached', 'low') }} end as reached_next_share_low,
    case when {{ has_next }} then {{ wilson('reached_next', 'reached', 'high') }} end as reached_next_share_high
{%- endmacro %}

{# A share (0 for 0/0) with the ends of its 95 % interval, as three columns. #}
{% macro share_columns(name, successes, trials) %}
    {{- "coalesce(" ~ successes ~ " / cast(nullif(" ~ trials ~ ", 0) as double), 0.0)" }} as {{ name }},
    {{ wilson(successes, trials, 'low') }} as {{ name }}_low,
    {{ wilson(successes, trials, 'high') }} as {{ name }}_high
{%- endmacro %}
