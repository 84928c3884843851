"""Opens, lists and removes what is in a directory tree.

Everything is addressed by a directory's descriptor and one name, and no symlink is ever followed. A
container that still runs can swap a directory for a link to the host's /etc between two system calls;
whoever goes by paths then copies the host's secrets into the next container.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Give a descriptor that is closed in the end."""
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def directory(root: int, path: str) -> Iterator[int]:
    """Open the directory `path` below `root` ("" is the root itself), name by name: paths may be of any length."""
    fd = os.open(".", _DIRECTORY, dir_fd=root)
    try:
        for name in path.split("/") if path else ():
            parent, fd = fd, os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(parent)
        yield fd
    finally:
        os.close(fd)


def listing(fd: int) -> dict[str, os.stat_result]:
    """List each entry of an open directory with its own status; what vanishes meanwhile is left out."""
    found = {}
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found[entry.name] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
    return found


def remove(parent: int, name: str, tick: Callable[[], None] = lambda: None) -> None:
    """Delete an entry of an open directory with everything below it; `tick` is called in between."""
    tick()
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        _remove_directory(parent, name, tick)


def _remove_directory(parent: int, name: str, tick: Callable[[], None]) -> None:
    found = [name]
    for path in found:
        tick()
        with directory(parent, path) as fd:
            for child, status in listing(fd).items():
                if stat.S_ISDIR(status.st_mode):
                    found.append(f"{path}/{child}")
                else:
                    os.unlink(child, dir_fd=fd)
    for path in reversed(found):
        above, _, last = path.rpartition("/")
        with directory(parent, above) as fd:
            os.rmdir(last, dir_fd=fd)
