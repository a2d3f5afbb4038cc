{# The order in which events arrived: of several copies of one event the first counts. #}
{% macro arrival() %}received_at, source, partition, record_offset, visitor_id, occurred_at{% endmacro %}
