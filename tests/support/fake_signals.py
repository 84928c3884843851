"""Signals that a test gives."""

import threading


class FakeSignals:
    """`app.ports.Signals`: `wait` returns once `event` is set, and clears it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.closed = False

    def wait(self, seconds: float) -> str | None:
        if not self.event.wait(seconds) or self.closed:
            return None
        self.event.clear()
        return "test"

    def close(self) -> None:
        self.closed = True
        self.event.set()
