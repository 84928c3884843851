"""The writable layers of containers: where they are, one module for each storage driver, and how they are carried."""
