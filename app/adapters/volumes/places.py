"""Places: the directories where volumes have, or had, their data; the driver that gave one out opens it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.adapters.filesystem import sync_filesystem
from app.adapters.treecopy.errors import translate_errors
from app.adapters.treecopy.files import opened
from app.adapters.treecopy.measure import inodes, measure_tree
from app.adapters.treecopy.transfer import TreeTransfer
from app.adapters.volumes.directories import fsync
from app.adapters.volumes.drivers import Drivers
from app.adapters.volumes.errors import as_failure
from app.errors import VolumeDeleteFailed
from app.model.messages import Text
from app.ports import PlaceKind, Progress

T = TypeVar("T")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Places:
    """Reads and writes places. All of it raises LayerCopyFailed or Unavailable("disk")."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def begin(self, source: str, target: str, progress: Progress) -> TreeTransfer:
        """Prepare a transfer from any place to that of a volume; what was set aside unmounted is mounted for it."""
        with translate_errors(Text("The files of {old} cannot be carried to {new}", old=source, new=target)):
            old, new = self._open(source), self._open(target)
            if self._kind(target) is not PlaceKind.VOLUME:
                raise ValueError(Text("{place} is no volume's directory", place=repr(target)))
            if old.is_relative_to(new) or new.is_relative_to(old):
                raise ValueError(Text("one is the other, or inside it"))
        return TreeTransfer(str(old), str(new), progress)

    def sync(self, place: str) -> None:
        """Write everything of the place's filesystem to its disk, and return then."""
        failure = Text("The filesystem of {place} could not be written to disk", place=place)
        with translate_errors(failure), opened(os.open(self._open(place), _DIRECTORY)) as fd:
            sync_filesystem(fd)

    def measure(self, place: str) -> tuple[int, int]:
        """Count bytes in use and files, as the filesystem reports them if it can."""
        with translate_errors(Text("The size of {place} could not be found out", place=place)):
            found = self._drivers.at(_path(place))
            if found and (usage := found[0].report(Path(place))):
                return usage.used or 0, usage.files or 0
            return self._look(place, measure_tree)

    def last_change(self, place: str) -> int:
        """Find the newest ctime, ns since 1970, of the place's directory and of everything in it."""
        with translate_errors(Text("The files of {place} could not be examined", place=place)):
            return self._look(place, _newest)

    def discard(self, place: str) -> None:
        """Delete data that was set aside; gone already is fine, any other place is refused."""
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=place)):
            match self._drivers.at(Path(place)):
                case driver, PlaceKind.ASIDE:
                    driver.discard_aside(Path(place))
                case _:
                    raise VolumeDeleteFailed(Text("{place} is not where volumes are set aside", place=repr(place)))

    def _open(self, place: str) -> Path:
        path = _path(place)
        found = self._drivers.at(path)
        return _directory(found[0].open(path) if found else path)

    def _look(self, place: str, at: Callable[[str], T]) -> T:
        """Let `at` look at the directory of the data at a place, which is mounted for that alone if it must be."""
        path = _path(place)
        if found := self._drivers.at(path):
            return found[0].look(path, lambda directory: at(str(_directory(directory))))
        return at(str(_directory(path)))

    def _kind(self, place: str) -> PlaceKind | None:
        found = self._drivers.at(Path(place))
        return found[1] if found else None


def _path(place: str) -> Path:
    path = Path(place)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(Text("{place} is no such directory", place=repr(place)))
    return path


def _directory(path: Path) -> Path:
    with opened(os.open(path, _DIRECTORY)):
        return path.resolve()


def _newest(path: str) -> int:
    return max([Path(path).stat().st_ctime_ns, *(status.st_ctime_ns for status in inodes(path))])


def persist(mountpoint: Path) -> None:
    """Write to disk what Docker noted of a volume; without its options, after a power cut it would have no limit."""
    for path in (mountpoint.parent / "opts.json", mountpoint.parent, mountpoint.parents[1]):
        if path.exists():
            fsync(path)
