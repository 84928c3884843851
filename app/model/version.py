"""Name the version of this gpudock."""

VERSION = "0.1.0"
