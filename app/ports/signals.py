"""Hints that something changed."""

from typing import Protocol

# What `Signals.wait` says when Docker is heard for the first time, and again after it had been away, however shortly.
DOCKER_IS_BACK = "docker connected"


class Signals(Protocol):
    """Hints that something changed in etcd or Docker: never complete, so one looks at everything now and then too."""

    def wait(self, seconds: float) -> str | None:
        """What changed, in a few words, as soon as something did; None when the time is up or after `close`."""

    def close(self) -> None:
        """Stop listening; a `wait` of another thread returns."""
