"""Everything one can do with a container: one module for each operation, and what they share."""
