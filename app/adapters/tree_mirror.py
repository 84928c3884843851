"""Makes one directory tree equal to another in passes, each of which copies only what it must.

A pass remembers what it read: for each path the inode, ctime, mode and size as they were just before. No
program can set a ctime, so what still has all four is as it was read, with these exceptions:

- The kernel stamps times a tick at a time: two changes within a few milliseconds may leave the same ctime. So
  ctimes from 2 s before the pass on count as changed, as do those in the future.
- A page that is dirty and mapped writable is stored to again without a stamp. So a pass notes the time, then has
  everything written out: written pages are write-protected, and the next store faults and stamps. ext4, XFS and
  btrfs do so, tmpfs does not: on other filesystems nothing is remembered.
- After the clock was set back, a new change has an old stamp. Steps show as a changed difference between the
  realtime and the monotonic clock (both are slewed alike): after one, nothing is remembered.

Renaming a directory stamps nothing in it: hence the inode, recorded from the very descriptor that was read.

What is still needs no such care: without a pass to build on, the last one is GNU cp, which takes about half the time.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.adapters.filesystem import NO_SPACE, filesystem_name, sync_filesystem
from app.adapters.tree_copy import copy_tree
from app.adapters.tree_delta import Comparison, Plan
from app.adapters.tree_files import copy_directory_attributes, copy_entry, directory, listing, opened, remove

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARGIN = 2_000_000_000
_CLOCK_STEP = 1_000_000_000


class Mirror:
    """Makes the directory `target` equal to `source`; both are absolute paths. Raises OSError."""

    def __init__(self, source: str, target: str) -> None:
        self._source, self._target = source, target
        self._read: dict[str, tuple[int, ...]] = {}
        self._horizon, self._clock = 0, _clock()

    def copy_live(self) -> None:
        """A pass while others write to the source: what fails is left to the next one, except for want of space.

        Does nothing on a filesystem whose ctimes do not show every change.
        """
        with self._roots() as (source, target):
            if not filesystem_name(source):
                return
            self._mind_clock()
            begun = time.time_ns()
            sync_filesystem(source)
            plan = Comparison(source, target, self._unchanged, live=True).plan()
            self._horizon = begun - _MARGIN
            _Pass(source, target, self._read, live=True).run(plan)

    def finish(self) -> None:
        """The last pass, when nobody writes to the source any more: every failure counts."""
        with self._roots() as (source, target):
            self._mind_clock()
            if not self._read:
                for name in listing(target):
                    remove(target, name)
                copy_tree(self._source, self._target)
                copy_directory_attributes(source, target)  # cp leaves xattrs that only the target's root has
                return
            plan = Comparison(source, target, self._unchanged, live=False).plan()
            _Pass(source, target, self._read, live=False).run(plan)

    @contextmanager
    def _roots(self) -> Iterator[tuple[int, int]]:
        with opened(os.open(self._source, _ROOT)) as source, opened(os.open(self._target, _ROOT)) as target:
            yield source, target

    def _mind_clock(self) -> None:
        before, self._clock = self._clock, _clock()
        if abs(self._clock - before) > _CLOCK_STEP:
            self._read.clear()

    def _unchanged(self, path: str, status: os.stat_result) -> bool:
        return status.st_ctime_ns < self._horizon and self._read.get(path) == _identity(status)


class _Pass:
    """Carries a plan out between open directories; `read` gets what was read."""

    def __init__(self, source: int, target: int, read: dict[str, tuple[int, ...]], live: bool) -> None:
        self._source, self._target, self._read, self._live = source, target, read, live
        self._first_names: dict[int, tuple[str, str]] = {}

    def run(self, plan: Plan) -> None:
        """Remove, copy, and in the end set the attributes of the directories: what happens in one changes its mtime."""
        for path, names in plan.remove.items():
            with directory(self._target, path) as fd:
                for name in names:
                    remove(fd, name)
        for path, names in plan.copy.items():
            with self._tolerated(), self._both(path) as (source, target):
                for name in names:
                    self._try_copy(path, name, source, target)
        for path in {**plan.attributes, **dict.fromkeys([*plan.remove, *plan.copy])}:
            with self._tolerated(), self._both(path) as (source, target):
                self._read[path] = _identity(copy_directory_attributes(source, target))

    def _try_copy(self, path: str, name: str, source: int, target: int) -> None:
        try:
            self._copy(path, name, source, target)
        except OSError as exc:
            if not self._tolerable(exc):
                raise

    def _copy(self, path: str, name: str, source: int, target: int) -> None:
        full = f"{path}/{name}" if path else name
        self._read.pop(full, None)
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
        elif status.st_nlink > 1 and (first := self._first_names.setdefault(status.st_ino, (path, name))) != (
            path,
            name,
        ):
            self._link(first, name, target)
            self._read[full] = _identity(status)
        else:
            self._read[full] = _identity(copy_entry(source, target, name, status))

    def _link(self, first: tuple[str, str], name: str, target: int) -> None:
        path, existing = first
        with directory(self._target, path) as other:
            os.link(existing, name, src_dir_fd=other, dst_dir_fd=target, follow_symlinks=False)

    @contextmanager
    def _both(self, path: str) -> Iterator[tuple[int, int]]:
        with directory(self._source, path) as source, directory(self._target, path) as target:
            yield source, target

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if not self._tolerable(exc):
                raise

    def _tolerable(self, exc: OSError) -> bool:
        return self._live and exc.errno not in NO_SPACE


def _clock() -> int:
    return time.time_ns() - time.monotonic_ns()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_ctime_ns, status.st_mode, status.st_size
