"""Changes that go on after their caller has got an answer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import structlog

from app.errors import DomainError
from app.model.operation import Operation
from app.operations.requester import requester, set_requester

log = structlog.get_logger()
T = TypeVar("T")
OnBegin = Callable[[Operation], None]
# Does something, and calls what it is given once an operation has begun.
Work = Callable[[OnBegin], T]


class Background(Generic[T]):
    """Runs some work in a thread of its own; it is to tell of the first operation that it begins."""

    def __init__(self, work: Work[T]) -> None:
        self._work = work
        self._requester = requester()
        self._told: SimpleQueue[Operation | BaseException | _Result[T]] = SimpleQueue()

    def start(self) -> Operation | T:
        """Begin; the operation as soon as its intent is written, or the result of work that needs none.

        What is refused before an operation begins is raised here.
        """
        # No daemon: a worker that is asked to end waits for it.
        threading.Thread(target=self._run).start()
        return self._outcome(self._told.get())

    def finish(self, patience: float) -> Operation | T:
        """As `start`, but if the end comes within `patience` seconds: the result, or what went wrong is raised."""
        outcome, deadline = self.start(), time.monotonic() + patience
        if not isinstance(outcome, Operation):
            return outcome
        try:
            return self._outcome(self._told.get(timeout=max(0.0, deadline - time.monotonic())))
        except Empty:
            return outcome

    def _outcome(self, told: "Operation | BaseException | _Result[T]") -> Operation | T:
        if isinstance(told, BaseException):
            raise told
        return told if isinstance(told, Operation) else told.value

    def _run(self) -> None:
        set_requester(self._requester)
        try:
            self._told.put(_Result(self._work(self._told.put)))
        except DomainError as exc:
            log.warning("a change in the background ended with an error", reason=exc.message)
            self._told.put(exc)
        except BaseException as exc:
            log.exception("defect", exc_info=exc)
            self._told.put(exc)


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T
