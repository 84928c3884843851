"""Hints that something changed."""

from typing import Protocol

# What `Signals.wait` says when Docker is heard for the first time, and again after it had been away, however shortly.
DOCKER_IS_BACK = "docker connected"


class Signals(Protocol):
    """Wait for hints of changes in etcd or Docker: never complete, so one looks at everything now and then too."""

    def wait(self, seconds: float) -> str | None:
        """Wait until something changed, and say what in a few words; None when the time is up or after `close`."""

    def close(self) -> None:
        """Stop listening; a `wait` of another thread returns."""
