"""Copies directory trees so that nothing is lost, also while they are written to."""
