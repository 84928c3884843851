"""Has a copy written to disk while it still goes on, so that little is left to be waited for in the end."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from app.adapters.filesystem import sync_filesystem

_BYTES = 64 << 20
_SECONDS = 0.5  # of small files: more often, and the copy waits for the journal more than it gains


class Writeback:
    """A context in which an open directory's filesystem is synced now and then, in a thread that ends with it.

    A disk that refuses says so once only, perhaps here: that OSError is raised at the end, unless another one is.
    """

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._executor = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self._failed: Future[None] | None = None
        self._done, self._begun = 0, time.monotonic()

    def __enter__(self) -> "Writeback":
        return self

    def __exit__(self, _: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._executor.shutdown()
        if exc is None and (last := self._failed or self._last):
            last.result()

    def reach(self, done: int) -> None:
        """Say how many bytes have been copied in all."""
        if done - self._done >= _BYTES or time.monotonic() - self._begun >= _SECONDS:
            self._start(done)

    def _start(self, done: int) -> None:
        if self._last is not None:
            if not self._last.done():
                return
            if self._last.exception():
                self._failed = self._last
        self._done, self._begun = done, time.monotonic()
        self._last = self._executor.submit(sync_filesystem, self._directory)
