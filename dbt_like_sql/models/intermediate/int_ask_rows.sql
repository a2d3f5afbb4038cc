{{ config(materialized='view') }}

{{ counted_rows('fct_asks', ask_columns()) }}
