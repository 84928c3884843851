"""Use cases: what the API and the pages call."""
