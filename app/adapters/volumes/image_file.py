"""A filesystem of its own for a volume: ext4 in a sparse image file, mounted through a loop device.

A container sees the directory `data` in it. So lost+found stays out of sight, and as long as nothing is mounted there
is no such directory, and Docker refuses to start the container instead of letting it write elsewhere.
"""

import errno
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.adapters.filesystem import sync_filesystem
from app.adapters.treecopy.files import opened
from app.adapters.volumes import directories, private_mount
from app.adapters.volumes.directories import fsync, locked
from app.adapters.volumes.errors import run
from app.model.messages import Text
from app.model.volume import Usage

T = TypeVar("T")
_BLOCK, _INODE = 4096, 256
# With less the kernel's journal does not fit; a group that is no larger than its own tables is not made at all.
_SMALLEST, _GROUP_TABLES = 2048, 2400
_KERNEL_RESERVE = 4096
# For `data` and the list of the filler's blocks.
_SPARE = 8
# Bytes for an inode of each block; ext4 numbers inodes with 32 bits.
_MOST_BLOCKS = 1 << 31
# discard gives the host back what is deleted inside; the tables that nobody uses need not be written.
_OPTIONS = "discard,noinit_itable,errors=remount-ro"
# Not even the journal is replayed.
_LOOKING = "loop,ro,noload"
_FORMAT, _MOUNT, _UNMOUNT, _BUSY = 600.0, 300.0, 120.0, 5.0
_EMPTY = "trusted.gpudock.empty"


@dataclass(frozen=True)
class Image:
    """The filesystem in the directory `directory`. Raises OSError; FileNotFoundError if it is gone."""

    directory: Path

    @property
    def file(self) -> Path:
        """Name the image file."""
        return self.directory / "image"

    @property
    def mount_point(self) -> Path:
        """Name the directory where it is mounted."""
        return self.directory / "mount"

    @property
    def data(self) -> Path:
        """Name the directory that containers see, once it is mounted."""
        return self.mount_point / "data"

    def make(self, size: int) -> None:
        """Make and mount a filesystem that holds `size` bytes, hardly more; or mount it if it is there already."""
        with locked(self.directory):
            if not self._complete():
                self._fit(size)
                self.data.mkdir()
                self.data.chmod(0o755)
                self._fill_up(_whole_blocks(size))
                self._seal()
            self._mount()

    def mount(self) -> None:
        """Mount it if it is not mounted; others may do so at the same time."""
        with locked(self.directory):
            self._mount()

    def unmount(self) -> None:
        """Unmount it if it is mounted; EBUSY if a program on the host does not let go of it for some seconds."""
        with locked(self.directory):
            self._unmount()

    def delete(self) -> None:
        """Unmount and delete it; gone already is fine."""
        with suppress(FileNotFoundError), locked(self.directory):
            self._unmount()
            self.file.unlink(missing_ok=True)
            directories.delete(self.directory)

    def usage(self) -> Usage:
        """Report how full it is; what an empty one has of its own does not count."""
        free, files = map(int, os.getxattr(self.file, _EMPTY).split())
        status = self.look(os.statvfs)
        used = max(0, free - status.f_bfree * status.f_frsize)
        return Usage(used + _available(status), used, max(0, status.f_files - status.f_ffree - files))

    def look(self, at: Callable[[Path], T]) -> T:
        """Let `at` look at the root of the filesystem; one that is not mounted is neither changed nor left mounted."""
        if self.mount_point.is_mount():
            return at(self.mount_point)
        with locked(self.directory):
            if self.mount_point.is_mount():
                return at(self.mount_point)
            return private_mount.isolated(lambda: self._peek(at))

    def check(self) -> None:
        """Raise FileNotFoundError if it is gone."""
        if not self.file.exists():
            raise FileNotFoundError(errno.ENOENT, Text("the image is gone"), str(self.file))

    def _peek(self, at: Callable[[Path], T]) -> T:
        self.check()
        try:
            private_mount.mount(self.file, self.directory, _LOOKING)
        except OSError:
            if (device := self._attached()) is None:
                raise
            # It is mounted where nobody sees it, see `_mount`, and cannot be mounted otherwise than there.
            private_mount.mount(device, self.directory, _OPTIONS)
        try:
            return at(self.directory)
        finally:  # the thread's end would do it a moment late for whoever mounts it next
            private_mount.unmount(self.directory)

    def _complete(self) -> bool:
        try:
            return bool(os.getxattr(self.file, _EMPTY))
        except FileNotFoundError:
            return False
        except OSError as exc:
            if exc.errno != errno.ENODATA:
                raise
            return False

    def _fit(self, size: int) -> None:
        """Make and mount a filesystem hardly larger than it must be; what its tables take shows when it is there."""
        blocks, ratio, journal = _geometry(_whole_blocks(size) // _BLOCK)
        self._remake(blocks, ratio, journal)
        surplus = (self._room() - size) // _BLOCK - _SPARE
        if surplus * _BLOCK > size // 100 and blocks - surplus >= _SMALLEST:
            self._remake(blocks - surplus, ratio, journal)
            if self._room() < size + _SPARE * _BLOCK:  # its last group had become too small to be made at all
                self._remake(blocks, ratio, journal)

    def _remake(self, blocks: int, ratio: int, journal: int) -> None:
        self._unmount()
        self._format(blocks, ratio, journal)
        self._mount()

    def _format(self, blocks: int, ratio: int, journal: int) -> None:
        # Always another file: the one before may still be mounted where nobody sees it, as in a namespace of a `look`.
        self.file.unlink(missing_ok=True)
        with opened(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)) as fd:
            os.ftruncate(fd, blocks * _BLOCK)
        shape = ("-b", str(_BLOCK), "-I", str(_INODE), "-i", str(ratio), "-J", f"size={journal}", "-O", "^resize_inode")
        run("mkfs.ext4", "-q", "-F", "-m", "0", *shape, str(self.file), timeout=_FORMAT)
        fsync(self.file)

    def _fill_up(self, size: int) -> None:
        """Take away what the filesystem holds beyond `size`, by blocks reserved for a file that nobody sees."""
        surplus = self._room() - size
        with opened(os.open(self.mount_point / "filler", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)) as fd:
            if surplus > 0:
                os.posix_fallocate(fd, 0, surplus)
            # The list of its blocks may need a few itself.
            if 0 < (missing := size - self._room()) <= surplus:
                os.ftruncate(fd, surplus - missing)
        if not size <= self._room() <= size + 16 * _BLOCK + size // 200:
            raise OSError(errno.EIO, f"{self.file} would hold {self._room()} bytes instead of {size}")

    def _seal(self) -> None:
        """Note down that it is complete, and what it has free when it is empty."""
        with opened(os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)) as fd:
            sync_filesystem(fd)
        status = os.statvfs(self.mount_point)
        note = f"{status.f_bfree * status.f_frsize} {status.f_files - status.f_ffree}"
        os.setxattr(self.file, _EMPTY, note.encode())
        fsync(self.file)
        fsync(self.directory)

    def _mount(self) -> None:
        self.check()
        if self.mount_point.is_mount():
            return
        self.mount_point.mkdir(mode=0o700, exist_ok=True)
        try:
            run("mount", "-t", "ext4", "-o", f"loop,{_OPTIONS}", str(self.file), str(self.mount_point), timeout=_MOUNT)
        except OSError:
            # Where / is no shared mount, Docker mounts its root over itself when it starts, and so over what is mounted
            # there in that moment. The image cannot be mounted once more then, but its device can.
            if (device := self._attached()) is None:
                raise
            run("mount", "-t", "ext4", "-o", _OPTIONS, str(device), str(self.mount_point), timeout=_MOUNT)
        # Faster, and spares the host a second copy of everything in its cache; not every disk lends itself to it.
        with suppress(OSError):
            run("losetup", "--direct-io=on", str(self._device()), timeout=_MOUNT)

    def _attached(self) -> Path | None:
        """The loop device that has the image, None if none has."""
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):  # detached meanwhile
                if backing.read_text().removesuffix("\n") == str(self.file):
                    return Path("/dev") / backing.parents[1].name
        return None

    def _device(self) -> Path:
        number = self.mount_point.stat().st_dev
        return Path("/dev") / Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name

    def _unmount(self) -> None:
        deadline = time.monotonic() + _BUSY
        while self.mount_point.is_mount():
            try:
                run("umount", str(self.mount_point), timeout=_UNMOUNT)
            except OSError as exc:
                if exc.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _room(self) -> int:
        return _available(os.statvfs(self.mount_point))


def _available(status: os.statvfs_result) -> int:
    return status.f_bavail * status.f_frsize


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _geometry(payload: int) -> tuple[int, int, int]:
    """Compute blocks of a filesystem that holds at least `payload` blocks, bytes for an inode, MiB of its journal."""
    ratio = _BLOCK * math.ceil((payload + 1) / _MOST_BLOCKS)
    journal = 4 if payload < 1 << 15 else 16 if payload < 1 << 18 else 64
    tables = payload * _INODE // (ratio - _INODE) + payload // 1000 + _GROUP_TABLES
    reserve = min(payload // 40, _KERNEL_RESERVE)
    return max(payload + tables + reserve + journal * (1 << 20) // _BLOCK, _SMALLEST), ratio, journal
