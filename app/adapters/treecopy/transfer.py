"""A directory tree on its way to another one, with failures told as gpudock's errors."""

from app.adapters.treecopy.errors import translate_errors
from app.adapters.treecopy.sync import Mirror
from app.model.messages import Text
from app.ports import Progress


class TreeTransfer:
    """Implements `ports.Transfer` between any two directories, given as absolute paths.

    `copy_live` may be repeated, to leave less and less for `settle` or `finish`. Each of the three counts its own
    bytes from 0 for `progress`, and after whatever that raised the target is worth nothing.
    """

    def __init__(self, source: str, target: str, progress: Progress) -> None:
        self._mirror = Mirror(source, target, progress)
        self._failure = Text("The files of {old} could not be carried to {new}", old=source, new=target)

    def copy_live(self) -> None:
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.copy_live()

    def settle(self) -> None:
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.settle()

    def finish(self) -> None:
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.finish()
