{{ changed_rows('int_standings', ['ladder', 'unit', 'date', 'tier']) }}
