"""The catalog in SQL: its engine, its tables, and the statements on them."""
