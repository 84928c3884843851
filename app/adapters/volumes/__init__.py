"""Sized Docker volumes, one module for each driver that enforces the size."""
