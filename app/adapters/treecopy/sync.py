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

Nobody else writes to the target between two passes. So the next one need not look at what the last one left there,
which halves the time that a container is down, except where something failed that the last one put up with.

What is still needs no such care: without a pass to build on, the last one is GNU cp, which takes a third less time.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.adapters.filesystem import filesystem_name, sync_filesystem
from app.adapters.treecopy.apply import Pass
from app.adapters.treecopy.copy import copy_tree
from app.adapters.treecopy.delta import Comparison, DeltaPlan, Identity, Names, identity, outdated
from app.adapters.treecopy.entry import copy_directory_attributes
from app.adapters.treecopy.errors import Tolerance, all_but_no_space, nothing, vanishing
from app.adapters.treecopy.files import listing, opened, remove
from app.adapters.treecopy.progress import Meter
from app.ports import Progress

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARGIN = 2_000_000_000
_CLOCK_STEP = 1_000_000_000
_ROUNDS = 3


class Mirror:
    """Makes the directory `target` equal to `source`; both are absolute paths.

    Raises OSError, and what `progress` raised; `meter` knows whether it was that.
    """

    def __init__(self, source: str, target: str, progress: Progress) -> None:
        self.meter = Meter(progress)
        self._source, self._target = source, target
        self._read: dict[str, Identity] = {}
        self._held: dict[str, Names] = {}
        self._horizon, self._clock = 0, _clock()

    def copy_live(self) -> None:
        """Make a pass while others write to the source: what fails is left to the next one, but for want of space.

        Does nothing on a filesystem whose ctimes do not show every change.
        """
        with self._roots() as (source, target):
            if filesystem_name(source):
                self._pass_live(source, target, all_but_no_space)
        self.meter.end()

    def settle(self) -> None:
        """Make the last pass, while others write to the source: what nobody touches meanwhile is equal in the end.

        What vanishes or changes its type in the middle is no failure, every other one counts. What was moved then
        may have been overlooked: another round finds it, and copies what changed since; there are at most three.
        """
        with self._roots() as (source, target):
            trusted = filesystem_name(source) is not None
            for _ in range(_ROUNDS if trusted else 1):
                if not outdated(self._pass_live(source, target, vanishing), source):
                    break
            if not trusted:
                self._read.clear()
        self.meter.end()

    def finish(self) -> None:
        """Make the last pass, when nobody writes to the source any more: every failure counts."""
        with self._roots() as (source, target):
            self._mind_clock()
            if self._read:
                self._pass(source, target, nothing, self._horizon)
            else:
                self._copy_all(source, target)
        self.meter.end()

    def _pass_live(self, source: int, target: int, covers: Callable[[OSError], bool]) -> DeltaPlan:
        self._mind_clock()
        begun = time.time_ns()
        sync_filesystem(source)
        return self._pass(source, target, covers, begun - _MARGIN)

    def _pass(self, source: int, target: int, covers: Callable[[OSError], bool], horizon: int) -> DeltaPlan:
        tolerance = Tolerance(covers, self.meter)
        held, self._held = self._held, {}  # what a pass leaves that breaks off is not known
        plan = Comparison(source, target, self._unchanged, held, tolerance, self.meter.tick).plan()
        self._horizon = horizon
        self._held = Pass(plan, source, target, self._read, tolerance, self.meter).run()
        return plan

    def _copy_all(self, source: int, target: int) -> None:
        self._held = {}
        for name in listing(target):
            remove(target, name, self.meter.tick)
        copy_tree(self._source, self._target, self.meter)
        copy_directory_attributes(source, target)  # cp leaves xattrs that only the target's root has

    @contextmanager
    def _roots(self) -> Iterator[tuple[int, int]]:
        self.meter.start()
        with opened(os.open(self._source, _ROOT)) as source, opened(os.open(self._target, _ROOT)) as target:
            yield source, target

    def _mind_clock(self) -> None:
        before, self._clock = self._clock, _clock()
        if abs(self._clock - before) > _CLOCK_STEP:
            self._read.clear()

    def _unchanged(self, path: str, status: os.stat_result) -> bool:
        return status.st_ctime_ns < self._horizon and self._read.get(path) == identity(status)


def _clock() -> int:
    return time.time_ns() - time.monotonic_ns()
