{# What is counted of asks and of yeses. #}
{% macro ask_columns() %}
    {{- return([
        'ladder', 'unit', 'asked_date', 'tier', 'step', 'held_tier', 'leap', 'earlier_yeses', 'seconds_since_yes',
        'landing_seconds', 'is_first', 'is_mature', 'is_loss', 'answer', 'answer_seconds',
    ]) -}}
{% endmacro %}

{% macro yes_columns() %}
    {{- return([
        'ladder', 'unit', 'yes_date', 'tier', 'step', 'reward_seconds', 'cheer_seconds', 'next_is_mature', 'next_has_yes',
    ]) -}}
{% endmacro %}
