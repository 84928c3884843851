"""Which gpudock this is."""

VERSION = "0.1.0"
