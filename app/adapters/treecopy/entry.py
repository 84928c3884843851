"""Copies single directory entries completely: data with its holes, owner, xattrs, mode and times."""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from app.adapters.treecopy.data import copy_data

_MODE = 0o600  # until the owner is right and all is there


@dataclass(frozen=True)
class _Fresh:
    """Describe a file that was just made: it depends on the directory, its set-group-ID bit and its default ACL."""

    owner: tuple[int, int]
    xattrs: bool


class Entries:
    """Copies from one open directory to another, whose attributes nobody changes meanwhile.

    `copied` is told how many bytes of a file have been copied since the last time, holes included.
    """

    def __init__(self, target: int, copied: Callable[[int], None]) -> None:
        self._target, self._copied = target, copied
        self._fresh: _Fresh | None = None

    def copy(self, handle: int, name: str, status: os.stat_result) -> None:
        """Copy what is no directory; `handle` was opened with O_PATH, and has had that status since. Raises OSError."""
        if stat.S_ISREG(status.st_mode):
            self._copy_file(handle, name, status)
        else:
            self._copy_special(handle, name, status)

    def _copy_file(self, handle: int, name: str, status: os.stat_result) -> None:
        old = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
        try:
            new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE, dir_fd=self._target)
            try:
                fresh = self._fresh = self._fresh or _look_at(new)
                copy_data(old, new, status, self._copied)
                _copy_attributes(old, new, status, fresh)
            finally:
                os.close(new)
        finally:
            os.close(old)

    def _copy_special(self, handle: int, name: str, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink("", dir_fd=handle), name, dir_fd=self._target)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | _MODE, status.st_rdev, dir_fd=self._target)
        # Neither can be opened. What the first path leads to is the inode itself, also that of a symlink.
        _copy_attributes(f"/proc/self/fd/{handle}", f"/proc/self/fd/{self._target}/{name}", status)


def copy_directory_attributes(source: int, target: int) -> os.stat_result:
    """Give an open directory another's attributes, once nothing is created in it any more; the other's status."""
    status = os.fstat(source)
    _copy_attributes(source, target, status)
    return status


def _look_at(new: int) -> _Fresh:
    status = os.fstat(new)
    return _Fresh((status.st_uid, status.st_gid), bool(os.listxattr(new)))


def _copy_attributes(source: int | str, target: int | str, status: os.stat_result, fresh: _Fresh | None = None) -> None:
    """Owner, xattrs, mode, times, in this order: chown takes setuid bits and capabilities away, ACLs set the mode.

    A target that was just made is known to have what is `fresh`, which saves system calls.
    """
    open_ = isinstance(target, int)
    if fresh is None or fresh.owner != (status.st_uid, status.st_gid):
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=open_)
    wanted = _xattrs(source)
    if wanted or fresh is None or fresh.xattrs:
        _set_xattrs(target, wanted)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101 (a descriptor, or the name of no symlink)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=open_)


def _set_xattrs(target: int | str, wanted: dict[str, bytes]) -> None:
    """POSIX ACLs are among them, and a new entry may have inherited one that the old one does not have."""
    open_ = isinstance(target, int)
    for name in os.listxattr(target, follow_symlinks=open_):
        if name not in wanted:
            os.removexattr(target, name, follow_symlinks=open_)
    for name, value in wanted.items():
        os.setxattr(target, name, value, follow_symlinks=open_)


def _xattrs(source: int | str) -> dict[str, bytes]:
    found = {}
    for name in os.listxattr(source):
        try:
            found[name] = os.getxattr(source, name)
        except OSError as exc:
            if exc.errno != errno.ENODATA:  # taken away since it was listed
                raise
    return found
