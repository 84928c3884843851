"""The copy of a directory tree: a layer, or the data of a volume."""

from collections.abc import Callable
from typing import Protocol

# Told now and then, from the thread that copies, how many bytes are done and, once known, of how many. What it
# raises ends the copy and goes through to the caller.
Progress = Callable[[int, int | None], None]


class Transfer(Protocol):
    """Copy one directory tree to another. Raises LayerCopyFailed, or Unavailable("disk") when there is no room."""

    def copy_live(self) -> None:
        """Make a first pass, optional, while the source is still written to."""

    def settle(self) -> None:
        """Do as `finish` where writers are not stopped: what vanishes meanwhile is no failure."""

    def finish(self) -> None:
        """Make `target` exactly equal to `source`, which nobody writes to any more."""
