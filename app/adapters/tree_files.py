"""Copies single directory entries completely: data with its holes, owner, xattrs, mode and times.

Everything is addressed by a directory's descriptor and one name, and no symlink is ever followed. A
container that still runs can swap a directory for a link to the host's /etc between two system calls;
whoever goes by paths then copies the host's secrets into the next container.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
_SMALL = 1 << 16
_CHUNK = 16 << 20  # bytes a system call: between two of them a copy can be told of and ended


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


def copy_entry(source: int, target: int, name: str, copied: Callable[[int], None]) -> os.stat_result:
    """Copy one entry that is no directory between open directories; its status as of just before it was read.

    `copied` is told how many bytes of a file have been copied since the last time, holes included.
    """
    # O_PATH: what was a file a moment ago may be a device node now, and opening a device acts on it. And whatever
    # takes the name from here on, all that is copied is of one and the same inode.
    with opened(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)) as handle:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.ESTALE, "is a directory by now", name)
        if stat.S_ISREG(status.st_mode):
            _copy_file(handle, target, name, status, copied)
        else:
            _copy_special(handle, target, name, status)
    return status


def copy_directory_attributes(source: int, target: int) -> os.stat_result:
    """Give an open directory another's attributes, once nothing is created in it any more; the other's status."""
    status = os.fstat(source)
    _copy_attributes(source, target, status)
    return status


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


def _copy_file(handle: int, target: int, name: str, status: os.stat_result, copied: Callable[[int], None]) -> None:
    old = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)
    try:
        new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            _copy_data(old, new, status.st_size, copied)
            _copy_attributes(old, new, status)
        finally:
            os.close(new)
    finally:
        os.close(old)


def _copy_special(handle: int, target: int, name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink("", dir_fd=handle), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
    # Neither can be opened. What the first path leads to is the inode itself, also that of a symlink.
    _copy_attributes(f"/proc/self/fd/{handle}", f"/proc/self/fd/{target}/{name}", status)


def _copy_data(source: int, target: int, size: int, copied: Callable[[int], None]) -> None:
    """Copy the first `size` bytes, leaving holes as holes.

    The first seek also waits (ext4, btrfs: the inode's lock; on XFS each read does) for a write that was under
    way when the status was taken: it stamped the ctime when it began, however long it lasts.
    """
    end = 0
    while end < size and (start := _seek(source, end, os.SEEK_DATA, size)) < size:
        copied(start - end)
        end = min(_seek(source, start, os.SEEK_HOLE, size), size)
        _copy_range(source, target, start, end, copied)
    if end < size:
        copied(size - end)
        os.ftruncate(target, size)


def _seek(fd: int, offset: int, whence: int, otherwise: int) -> int:
    """Where data or a hole begins; `otherwise` where nothing of it is left, also in a file truncated just now."""
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
    wanted = _xattrs(source)
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
