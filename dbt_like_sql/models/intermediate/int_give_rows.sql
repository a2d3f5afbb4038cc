{{ config(materialized='view') }}

{{ counted_rows('int_gives', ['ladder', 'unit', 'date', 'tier', 'earlier_rewards', 'earlier_gives', 'is_mature', 'is_yes']) }}
