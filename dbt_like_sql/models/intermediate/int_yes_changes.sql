{{ changed_rows('fct_yeses', yes_columns()) }}
