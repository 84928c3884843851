"""Does what Python's os lacks about filesystems: syncfs, and knowing which filesystem it is."""

import ctypes
import errno
import os
from pathlib import Path

from app.model.alerts import DiskSpace

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

_libc = ctypes.CDLL(None, use_errno=True)

_MAGIC = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs"}  # statfs(2)


def sync_filesystem(directory: int) -> None:
    """Write everything of the filesystem of an open directory to its disk; OSError if the disk refuses."""
    if _libc.syncfs(directory):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def filesystem_name(directory: int) -> str | None:
    """Name the filesystem: ext4 (also ext2 and ext3), xfs or btrfs; None for every other one."""
    buffer = (ctypes.c_long * 32)()  # struct statfs has 120 bytes and begins with f_type
    if _libc.fstatfs(directory, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return _MAGIC.get(buffer[0])


def disk_space(path: Path) -> DiskSpace:
    """Report how much room the filesystem of a directory has, in bytes; raises OSError."""
    status = os.statvfs(path)
    return DiskSpace(str(path), status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)
