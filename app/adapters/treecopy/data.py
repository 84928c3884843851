"""Copies the data of single files, with their holes."""

import errno
import os
from collections.abc import Callable

_BLOCK = 1 << 12  # bytes; st_blksize may be what a filesystem likes to write at once
_SMALL = 1 << 16
_CHUNK = 16 << 20  # bytes a system call: between two of them a copy can be told of and ended


def copy_data(source: int, target: int, status: os.stat_result, copied: Callable[[int], None]) -> None:
    """Copy as much as the source's `status` says that it holds into the new, empty file; holes stay holes.

    `copied` is told how many bytes have been copied since the last time, holes included. Raises OSError.

    The first seek also waits (ext4, btrfs: the inode's lock; on XFS each read does) for a write that was under
    way when the status was taken: it stamped the ctime when it began, however long it lasts.
    """
    size, end = status.st_size, 0
    block = min(status.st_blksize, _BLOCK)  # no hole is smaller
    while end < size and (start := _seek(source, end, os.SEEK_DATA, size)) < size:
        if start > end:
            copied(start - end)
        end = size if size <= block else min(_seek(source, start, os.SEEK_HOLE, size), size)
        _copy_range(source, target, start, end, copied)
    if end < size:
        copied(size - end)
        os.ftruncate(target, size)


def _seek(fd: int, offset: int, whence: int, otherwise: int) -> int:
    """Find where data or a hole begins; `otherwise` where nothing of it is left, also in a file truncated just now."""
    try:
        return os.lseek(fd, offset, whence)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
        return otherwise


def _copy_range(source: int, target: int, start: int, end: int, copied: Callable[[int], None]) -> None:
    if end - start <= _SMALL:  # copy_file_range sets up a pipe for each file; a read and a write take half as long
        _write(target, os.pread(source, end - start, start), start)
        copied(end - start)
        return
    way = _in_kernel
    while start < end:
        try:
            count = way(source, target, start, min(end - start, _CHUNK))
        except OSError as exc:
            if way is _by_sendfile or exc.errno not in (errno.EXDEV, errno.EOPNOTSUPP):
                raise
            way = _by_sendfile
            continue
        if not count:
            return
        copied(count)
        start += count


def _in_kernel(source: int, target: int, start: int, count: int) -> int:
    return os.copy_file_range(source, target, count, start, start)


def _by_sendfile(source: int, target: int, start: int, count: int) -> int:
    os.lseek(target, start, os.SEEK_SET)
    return os.sendfile(target, source, start, count)


def _write(fd: int, data: bytes, offset: int) -> None:
    while data:  # on a disk that gets full, a write is short first
        count = os.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count
