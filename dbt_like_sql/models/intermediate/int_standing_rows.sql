{{ config(materialized='view') }}

{{ counted_rows('int_standings', ['ladder', 'unit', 'date', 'tier']) }}
