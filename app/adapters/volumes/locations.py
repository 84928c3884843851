"""Places: the directories where volumes have, or had, their data.

That of a volume is what containers see. Data set aside is in gpudock's home: an image's directory, or a tree.
"""

import os
from pathlib import Path

from app.adapters.filesystem import sync_filesystem
from app.adapters.treecopy.errors import translate_errors
from app.adapters.treecopy.files import opened
from app.adapters.treecopy.measure import inodes, measure_tree
from app.adapters.treecopy.transfer import TreeTransfer
from app.adapters.volumes import directories
from app.adapters.volumes.directories import Home
from app.adapters.volumes.errors import as_failure
from app.adapters.volumes.image_file import Image
from app.adapters.volumes.project_quota import project_id, project_usage
from app.adapters.volumes.quota import device
from app.errors import VolumeDeleteFailed
from app.model.messages import Text
from app.ports import Progress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Places:
    """Reads and writes the places below Docker's `root`. All of it raises LayerCopyFailed or Unavailable("disk")."""

    def __init__(self, root: Path, home: Home) -> None:
        self._root, self._home = root, home

    def begin(self, source: str, target: str, progress: Progress) -> TreeTransfer:
        """A transfer from any place to that of a volume; a filesystem that was set aside is mounted for it."""
        with translate_errors(Text("The files of {old} cannot be carried to {new}", old=source, new=target)):
            old, new = self._existing(source), self._existing(target)
            if not self._of_volume(Path(target)):
                raise ValueError(Text("{place} is no volume's directory", place=repr(target)))
            if old.is_relative_to(new) or new.is_relative_to(old):
                raise ValueError(Text("one is the other, or inside it"))
        return TreeTransfer(str(old), str(new), progress)

    def sync(self, place: str) -> None:
        """Return once everything written to the place's filesystem is on disk."""
        failure = Text("The filesystem of {place} could not be written to disk", place=place)
        with translate_errors(failure), opened(os.open(self._existing(place), _DIRECTORY)) as fd:
            sync_filesystem(fd)

    def measure(self, place: str) -> tuple[int, int]:
        """Bytes in use and number of files, as the filesystem reports them if it can."""
        with translate_errors(Text("The size of {place} could not be found out", place=place)):
            path = self._existing(place)
            if image := self._image(path):
                usage = image.usage()
                return usage.used or 0, usage.files or 0
            if (number := project_id(path)) and (project := project_usage(device(self._root), number)):
                return project.used, project.inodes - 1
            return measure_tree(str(path))

    def last_change(self, place: str) -> int:
        """The newest ctime, ns since 1970, of the place's directory and of everything in it."""
        with translate_errors(Text("The files of {place} could not be examined", place=place)):
            path = self._existing(place)
            return max([path.stat().st_ctime_ns, *(status.st_ctime_ns for status in inodes(str(path)))])

    def discard(self, place: str) -> None:
        """Delete data that was set aside; gone already is fine, any other place is refused."""
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=place)):
            directory = self._home.owner(Path(place))
            if directory is None or Path(place) not in (directory, directory / "data"):
                raise VolumeDeleteFailed(Text("{place} is not where volumes are set aside", place=repr(place)))
            Image(directory).delete()

    def _existing(self, place: str) -> Path:
        path = Path(place)
        if not path.is_absolute() or ".." in path.parts:
            raise ValueError(Text("{place} is no such directory", place=repr(place)))
        if image := self._image(path):
            image.mount()
            path = image.data
        with opened(os.open(path, _DIRECTORY)):
            return path.resolve()

    def _image(self, path: Path) -> Image | None:
        directory = self._home.owner(path)
        if directory is None or path not in (directory, Image(directory).data):
            return None
        return Image(directory)

    def _of_volume(self, path: Path) -> bool:
        of_docker = path.name == "_data" and path.parent.parent == self._root / "volumes"
        return of_docker or ((image := self._image(path)) is not None and path == image.data)


def persist(mountpoint: Path) -> None:
    """Write to disk what Docker noted of a volume; without its options, after a power cut it would have no limit."""
    for path in (mountpoint.parent / "opts.json", mountpoint.parent, mountpoint.parents[1]):
        if path.exists():
            directories.fsync(path)
