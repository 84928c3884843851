"""Measurements of the service against physical references, in one run and as ratios (`make bench`)."""
