{{ config(materialized='view') }}

{{ counted_rows('int_outcomes', outcome_columns()) }}
