"""How a caller hears of an operation at the moment it begins, or keeps it from beginning: for both the use case
itself is run, so that what is announced is what would really happen.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from app.model.operation import Operation

Measure = Callable[[], tuple[int, int]]
_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)
_observer: ContextVar[Callable[[Operation], None] | None] = ContextVar("observer", default=None)


@dataclass(frozen=True)
class Plan:
    """An operation that is about to begin: the GPUs and host ports it will hold in all, and what it will copy.

    Each of `copies` measures one directory tree: bytes and number of files.
    """

    operation: Operation
    gpus: Sequence[str] = ()
    ports: Sequence[int] = ()
    copies: Sequence[Measure] = ()


class Rehearsed(BaseException):
    """Ends a rehearsed use case where it would begin to change things. No error, so no handler of errors takes it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.operation.id)
        self.plan = plan


@contextmanager
def rehearsing() -> Iterator[None]:
    """In this block use cases go as far as their plan, and raise Rehearsed instead of writing their intent."""
    token = _rehearsing.set(True)
    try:
        yield
    finally:
        _rehearsing.reset(token)


@contextmanager
def observed(observer: Callable[[Operation], None]) -> Iterator[None]:
    """In this block `observer` is told of each operation whose intent has just been written."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def planned(plan: Plan) -> None:
    """To be called by use cases right before they begin an operation."""
    if _rehearsing.get():
        raise Rehearsed(plan)


def begun(operation: Operation) -> None:
    """To be called right after an operation's intent has been written."""
    if observer := _observer.get():
        observer(operation)
