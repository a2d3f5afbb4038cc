{{ changed_rows('fct_asks', ask_columns()) }}
