{{ changed_rows('int_starts', ['ladder', 'unit', 'date', 'start', 'tier', 'is_mature', 'is_yes']) }}
