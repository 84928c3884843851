"""Copies single directory entries completely: data with its holes, owner, xattrs, mode and times.

Everything is addressed by a directory's descriptor and one name, and no symlink is ever followed. A
container that still runs can swap a directory for a link to the host's /etc between two system calls;
whoever goes by paths then copies the host's secrets into the next container.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
_SMALL = 1 << 16


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor that is closed in the end."""
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def directory(root: int, path: str) -> Iterator[int]:
    """The directory `path` below `root` ("" is the root itself), opened name by name: paths may be of any length."""
    fd = os.open(".", _DIRECTORY, dir_fd=root)
    try:
        for name in path.split("/") if path else ():
            parent, fd = fd, os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(parent)
        yield fd
    finally:
        os.close(fd)


def listing(fd: int) -> dict[str, os.stat_result]:
    """Each entry of an open directory with its own status; what vanishes meanwhile is left out."""
    found = {}
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found[entry.name] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
    return found


def copy_entry(source: int, target: int, name: str, status: os.stat_result) -> os.stat_result:
    """Copy one entry that is no directory between open directories; its status as of just before it was read."""
    if stat.S_ISREG(status.st_mode):
        return _copy_file(source, target, name)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
    # These cannot be opened; the last name of a path is not followed by the calls that are used with it.
    _copy_attributes(f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}", status)
    return status


def copy_directory_attributes(source: int, target: int) -> os.stat_result:
    """Give an open directory another's attributes, once nothing is created in it any more; the other's status."""
    status = os.fstat(source)
    _copy_attributes(source, target, status)
    return status


def remove(parent: int, name: str) -> None:
    """Delete an entry of an open directory with everything below it."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        _remove_directory(parent, name)


def _remove_directory(parent: int, name: str) -> None:
    found = [name]
    for path in found:
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


def _copy_file(source: int, target: int, name: str) -> os.stat_result:
    old = _open_regular(source, name)
    try:
        new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            status = os.fstat(old)
            _copy_data(old, new, status.st_size)
            _copy_attributes(old, new, status)
        finally:
            os.close(new)
    finally:
        os.close(old)
    return status


def _open_regular(parent: int, name: str) -> int:
    # O_PATH first: what was a file a moment ago may be a device node now, and opening a device acts on it.
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.ESTALE, "is no regular file any more", name)
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes, leaving holes as holes.

    The first seek also waits (ext4, btrfs: the inode's lock; on XFS each read does) for a write that was under
    way when the status was taken: it stamped the ctime when it began, however long it lasts.
    """
    end = 0
    while end < size and (start := _next_data(source, end)) < size:
        end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        _copy_range(source, target, start, end)
    if end < size:
        os.ftruncate(target, size)


def _next_data(fd: int, offset: int) -> int:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
        return os.fstat(fd).st_size


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    if end - start <= _SMALL:  # copy_file_range sets up a pipe for each file; a read and a write take half as long
        _write(target, os.pread(source, end - start, start), start)
        return
    try:
        while start < end and (count := os.copy_file_range(source, target, end - start, start, start)):
            start += count
    except OSError as exc:
        if exc.errno not in (errno.EXDEV, errno.EOPNOTSUPP):
            raise
        os.lseek(target, start, os.SEEK_SET)
        while start < end and (count := os.sendfile(target, source, start, end - start)):
            start += count


def _write(fd: int, data: bytes, offset: int) -> None:
    while data:  # on a disk that gets full, a write is short first
        count = os.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count


def _copy_attributes(source: int | str, target: int | str, status: os.stat_result) -> None:
    """Owner, xattrs, mode, times, in this order: chown takes setuid bits and capabilities away, ACLs set the mode."""
    open_ = isinstance(target, int)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=open_)
    _copy_xattrs(source, target)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101 (a descriptor, or the name of no symlink)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=open_)


def _copy_xattrs(source: int | str, target: int | str) -> None:
    """POSIX ACLs are among them, and a new entry may have inherited one that the old one does not have."""
    open_ = isinstance(target, int)
    wanted = os.listxattr(source, follow_symlinks=open_)
    for name in os.listxattr(target, follow_symlinks=open_):
        if name not in wanted:
            os.removexattr(target, name, follow_symlinks=open_)
    for name in wanted:
        os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=open_), follow_symlinks=open_)
