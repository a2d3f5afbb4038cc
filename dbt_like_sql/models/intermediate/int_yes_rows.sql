{{ config(materialized='view') }}

{{ counted_rows('fct_yeses', yes_columns()) }}
