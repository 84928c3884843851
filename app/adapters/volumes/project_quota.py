"""XFS project ids, by which quotas are counted: giving, reading and clearing them, and how much one of them has."""

import ctypes
import fcntl
import os
import random
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from app.adapters.treecopy.files import directory, listing, opened

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# linux/fs.h: struct fsxattr has the flags, three numbers with the project id as third after them, and padding.
_GET, _SET = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("=IIIII8s")
_INHERIT = 0x200
# linux/dqblk_xfs.h: Q_XGETQUOTA and Q_XSETQLIM for project quotas; of struct fs_disk_quota the version, flags, mask
# and id, the hard and the soft limit and, after two of inodes, the use, in blocks of 512 bytes, and the inodes.
_GET_QUOTA, _SET_LIMIT = (0x5803 << 8) | 2, (0x5804 << 8) | 2
_QUOTA = struct.Struct("=bbHIQQ16xQQ56x")
_BLOCK = 512
_VERSION, _OF_PROJECT, _BOTH_LIMITS = 1, 2, 0xC
# Docker counts up from 1.
_OWN_IDS = range(1 << 30, 1 << 31)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Project:
    """Hold what a project id may have, in bytes (0: any number), and has: bytes and inodes."""

    limit: int
    used: int
    inodes: int


def project_id(path: Path) -> int:
    """Read the project id of a directory; 0 for none, also where the filesystem knows no such thing."""
    with opened(os.open(path, _DIRECTORY)) as fd:
        try:
            return _attributes(fd)[3]
        except OSError:
            return 0


def project_usage(device: Path, number: int) -> Project | None:
    """Read how much the project id `number` has on the filesystem of a block device; None if it does not tell."""
    buffer = ctypes.create_string_buffer(_QUOTA.size)
    if _libc.quotactl(_GET_QUOTA, os.fsencode(device), number, buffer):
        return None
    *_, limit, _, used, inodes = _QUOTA.unpack(buffer.raw)
    return Project(limit * _BLOCK, used * _BLOCK, inodes)


def limit_directory(device: Path, path: Path, size: int) -> None:
    """Give an empty directory a project id that nobody has, and let that have `size` bytes. Raises OSError."""
    number = random.choice(_OWN_IDS)
    while (there := project_usage(device, number)) and (there.limit or there.inodes):
        number = random.choice(_OWN_IDS)
    limit = size // _BLOCK
    quota = _QUOTA.pack(_VERSION, _OF_PROJECT, _BOTH_LIMITS, number, limit, limit, 0, 0)
    if _libc.quotactl(_SET_LIMIT, os.fsencode(device), number, quota):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    with opened(os.open(path, _DIRECTORY)) as fd:
        flags, extent, extents, _, cow, padding = _attributes(fd)
        fcntl.ioctl(fd, _SET, _FSXATTR.pack(flags | _INHERIT, extent, extents, number, cow, padding))


def clear_projects(path: Path) -> None:
    """Take the project id from everything below a directory that can be opened without harm, and in the end from it.

    So as long as the directory itself has one, that is not done. Raises OSError.
    """
    with opened(os.open(path, _DIRECTORY)) as root:
        found = [""]
        for below in found:
            with directory(root, below) as fd:
                for name, status in listing(fd).items():
                    if stat.S_ISDIR(status.st_mode):
                        found.append(f"{below}/{name}" if below else name)
                    elif stat.S_ISREG(status.st_mode):
                        with opened(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)) as file:
                            _clear(file)
        for below in reversed(found):
            with directory(root, below) as fd:
                _clear(fd)


def _clear(fd: int) -> None:
    flags, extent, extents, number, cow, padding = _attributes(fd)
    if number or flags & _INHERIT:
        fcntl.ioctl(fd, _SET, _FSXATTR.pack(flags & ~_INHERIT, extent, extents, 0, cow, padding))


def _attributes(fd: int) -> tuple[int, int, int, int, int, bytes]:
    flags, extent, extents, number, cow, padding = _FSXATTR.unpack(fcntl.ioctl(fd, _GET, bytes(_FSXATTR.size)))
    return flags, extent, extents, number, cow, padding
