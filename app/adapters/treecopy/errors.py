"""Sorts what fails while directory trees are copied: a pass puts up with some of it, a caller is told the rest."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from app.adapters.filesystem import NO_SPACE
from app.adapters.treecopy.progress import Meter
from app.errors import LayerCopyFailed, Unavailable
from app.model.messages import Text

# What it looks like when a name that was just listed is gone, or stands for something else by now.
VANISHED = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


def nothing(_: OSError) -> bool:
    """Cover nothing, for a source that nobody writes to: every failure counts."""
    return False


def vanishing(exc: OSError) -> bool:
    """Cover what goes away in the middle, for a source that is written to."""
    return exc.errno in VANISHED


def all_but_no_space(exc: OSError) -> bool:
    """Cover all but want of space, for a pass that another one follows: that one will meet whatever is wrong."""
    return exc.errno not in NO_SPACE


class Tolerance:
    """A context that ends quietly at an OSError that `covers` covers, unless a progress callback raised it."""

    def __init__(self, covers: Callable[[OSError], bool], meter: Meter) -> None:
        self._covers, self._meter = covers, meter

    def covers(self, exc: OSError) -> bool:
        """Tell if the failure is to be put up with."""
        return not self._meter.refused and self._covers(exc)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> bool:
        return isinstance(exc, OSError) and self.covers(exc)


@contextmanager
def translate_errors(failure: Text, meter: Meter | None = None) -> Iterator[None]:
    """Raise what fails while files are copied or moved as a DomainError whose message begins with `failure`.

    OSError and ValueError become LayerCopyFailed, or Unavailable("disk") for want of space. What a progress
    callback raised, as `meter` knows, goes through unchanged.
    """
    try:
        yield
    except (OSError, ValueError) as exc:
        if meter is not None and meter.refused:
            raise
        raise _told(exc, failure) from exc


def _told(exc: OSError | ValueError, failure: Text) -> LayerCopyFailed | Unavailable:
    if isinstance(exc, OSError) and exc.errno in NO_SPACE:
        return Unavailable("disk", Text("{failure}: the disk is full.", failure=failure))
    return LayerCopyFailed(Text("{failure}: {why}.", failure=failure, why=_why(exc)))


def _why(exc: OSError | ValueError) -> str:
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    return exc.args[0] if exc.args and isinstance(exc.args[0], Text) else str(exc)  # str() would make it a plain one
