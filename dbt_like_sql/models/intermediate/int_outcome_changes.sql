{{ changed_rows('int_outcomes', outcome_columns()) }}
