"""Tells a caller how far a copy is, and lets him end it."""

import time

from app.ports import Progress

_FIRST = 0.3  # seconds; a shorter copy is not worth a word
_BETWEEN = 0.25


class Meter:
    """Counts the bytes of one copy after the other, and tells `progress` about four times a second.

    `refused` is set while `progress` is called and stays so when it raises: what is on its way up then is the
    caller's own, of whatever class, and neither to be put up with nor to be translated.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.start()

    def start(self) -> None:
        """Begin with another copy: nothing is done, and how much there is to do is unknown."""
        self.done, self._total = 0, -1
        self._told = self.refused = False
        self._due = time.monotonic() + _FIRST

    def expect(self, total: int) -> None:
        """Say how many bytes it will be in all; less than was done already means that all is done."""
        self._total = max(total, self.done)

    def add(self, count: int) -> None:
        """Count bytes that have been copied."""
        self.done += count
        self.tick()

    def reach(self, done: int) -> None:
        """Say how many bytes are done in all."""
        self.done = max(done, self.done)
        self.tick()

    def tick(self) -> None:
        """Give the caller the chance to end the copy, where it takes time without copying bytes."""
        if time.monotonic() >= self._due:
            self._tell()

    def end(self) -> None:
        """End the copy, which is complete: who heard of it hears that, too."""
        self.done = self._total = max(self.done, self._total)
        if self._told:
            self._tell()

    def _tell(self) -> None:
        self._told = self.refused = True
        known = self._total >= 0
        self._progress(min(self.done, self._total) if known else self.done, self._total if known else None)
        self.refused = False
        self._due = time.monotonic() + _BETWEEN
