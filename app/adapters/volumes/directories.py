"""gpudock's own directory for volumes, <docker root>/gpudock/volumes: one directory <volume>.<operation> for each."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.adapters.treecopy.files import listing, opened, remove
from app.errors import Unavailable
from app.model.messages import Text

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCKED_WITHIN = 60.0


class Home:
    """The directory below Docker's `root`. Raises OSError."""

    def __init__(self, root: Path) -> None:
        self.path = root / "gpudock/volumes"

    def directory(self, volume: str, operation: str) -> Path:
        """Name the directory of what gpudock keeps of a volume: a family erased and made anew has another one."""
        return self.path / f"{volume}.{operation}"

    def make(self, directory: Path | None = None) -> None:
        """Make the home, and one of its directories, so that they outlive a power cut."""
        for made in (self.path.parent, self.path, *([directory] if directory else [])):
            made.mkdir(mode=0o700, exist_ok=True)
            fsync(made.parent)

    def of_volume(self, volume: str) -> list[Path]:
        """List the directories of a volume's name, the newest first. An operation's id has no dots."""
        found = [path for path in self._all() if path.name.rpartition(".")[0] == volume]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def of_operation(self, operation: str) -> list[Path]:
        """List the directories of what an operation made."""
        return [path for path in self._all() if path.name.rpartition(".")[2] == operation]

    def owner(self, place: Path) -> Path | None:
        """Find the directory that `place` is, or is in; None for a place elsewhere."""
        if place == self.path or not place.is_relative_to(self.path):
            return None
        return self.path / place.relative_to(self.path).parts[0]

    def _all(self) -> list[Path]:
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory against every other thread and process; Unavailable("disk") after a minute of waiting."""
    deadline = time.monotonic() + _LOCKED_WITHIN
    with opened(os.open(directory, _DIRECTORY)) as fd:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > deadline:
                    message = Text("somebody does not get done with {place}; see what hangs", place=str(directory))
                    raise Unavailable("disk", message) from exc
            time.sleep(0.02)
        yield


def move(old: Path, new: Path) -> None:
    """Rename a directory, unless that has happened already and at most an empty one is left at `old`."""
    if not new.exists():
        old.rename(new)
        fsync(new.parent)
    elif old.exists() and any(old.iterdir()):
        raise FileExistsError(f"both {old} and {new} hold something")


def make_like(path: Path, model: Path) -> None:
    """Make an empty directory with the owner and mode of another one, unless there is one."""
    status = model.stat()
    path.mkdir(mode=0o700, exist_ok=True)
    os.chown(path, status.st_uid, status.st_gid)
    path.chmod(stat.S_IMODE(status.st_mode))
    fsync(path.parent)


def empty(directory: Path) -> None:
    """Delete everything in a directory."""
    with opened(os.open(directory, _DIRECTORY)) as fd:
        for name in listing(fd):
            remove(fd, name)


def delete(path: Path) -> None:
    """Delete a directory with everything in it; gone already is fine."""
    with suppress(FileNotFoundError), opened(os.open(path.parent, _DIRECTORY)) as parent:
        remove(parent, path.name)
        os.fsync(parent)


def fsync(path: Path) -> None:
    """Write a file, or the names in a directory, to disk."""
    with opened(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
        os.fsync(fd)
