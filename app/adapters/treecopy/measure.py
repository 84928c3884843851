"""Measures a directory tree that others may be changing."""

import os
import stat
from collections.abc import Generator

from app.adapters.treecopy.errors import VANISHED
from app.adapters.treecopy.files import directory, listing, opened

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512


def measure_tree(path: str) -> tuple[int, int]:
    """Count the bytes that everything below the directory `path` takes on its disk, and its files and directories.

    A file with several names counts once; no link is followed; what vanishes meanwhile is left out. Raises OSError.
    """
    room = count = 0
    for status in inodes(path):
        room, count = room + status.st_blocks * _BLOCK, count + 1
    return room, count


def inodes(path: str) -> Generator[os.stat_result, None, None]:
    """Yield the status of each file and directory below the directory `path`, of one with several names once."""
    linked: set[tuple[int, int]] = set()
    with opened(os.open(path, _ROOT)) as root:
        found = [""]
        for below in found:
            for name, status in _entries(root, below).items():
                if stat.S_ISDIR(status.st_mode):
                    found.append(f"{below}/{name}" if below else name)
                elif status.st_nlink > 1:
                    identity = status.st_dev, status.st_ino
                    if identity in linked:
                        continue
                    linked.add(identity)
                yield status


def _entries(root: int, path: str) -> dict[str, os.stat_result]:
    try:
        with directory(root, path) as fd:
            return listing(fd)
    except OSError as exc:
        if exc.errno not in VANISHED:
            raise
        return {}
