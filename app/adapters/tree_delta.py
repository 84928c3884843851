"""Compares two directory trees and plans what makes the second equal to the first."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from app.adapters.tree_errors import VANISHED, Tolerance
from app.adapters.tree_files import directory, listing

Identity = tuple[int, ...]


def identity(status: os.stat_result) -> Identity:
    """What tells whether an entry is still as it was when it was read."""
    return status.st_ino, status.st_ctime_ns, status.st_mode, status.st_size


@dataclass
class Plan:
    """What to remove from the target and what to copy to it, as names by directory.

    `attributes` are the directories, parents first, that need their attributes set after all that. `size` is the
    number of bytes in the files to be copied, `listed` how each directory of the source was before it was listed.
    """

    remove: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    copy: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attributes: dict[str, None] = field(default_factory=dict)
    size: int = 0
    listed: dict[str, Identity] = field(default_factory=dict)


class Comparison:
    """Goes through two trees, given as open directories, and asks `unchanged(path, status)` about each source entry.

    What is unchanged but looks different in the target counts as changed. A source directory that cannot be read,
    which `tolerance` may cover, stays in the target as it is. `tick` is called for each directory. Raises OSError.
    """

    def __init__(
        self,
        source: int,
        target: int,
        unchanged: Callable[[str, os.stat_result], bool],
        tolerance: Tolerance,
        tick: Callable[[], None],
    ) -> None:
        self._source, self._target = source, target
        self._unchanged, self._tolerance, self._tick = unchanged, tolerance, tick
        self._plan = Plan()
        self._linked: dict[int, dict[tuple[str, str], bool]] = defaultdict(dict)
        self._sizes: dict[int, int] = {}

    def plan(self) -> Plan:
        """Compare; to be called once."""
        if not self._same("", os.fstat(self._source), os.fstat(self._target)):
            self._plan.attributes[""] = None
        found = [("", True)]
        for path, in_target in found:
            found += self._compare(path, in_target)
        for inode, names in self._linked.items():
            self._complete(inode, names)
        return self._plan

    def _compare(self, path: str, in_target: bool) -> list[tuple[str, bool]]:
        """Plan one directory; the directories in it, and whether the target has them too."""
        self._tick()
        old: dict[str, os.stat_result] | None = None
        with self._tolerance, directory(self._source, path) as fd:
            self._plan.listed[path] = identity(os.fstat(fd))
            old = listing(fd)
        if old is None:
            return []
        new = _entries(self._target, path) if in_target else {}
        below = []
        for name in new.keys() - old.keys():
            self._plan.remove[path].append(name)
        for name, status in old.items():
            full, other = f"{path}/{name}" if path else name, new.get(name)
            if stat.S_ISDIR(status.st_mode):
                below.append((full, self._directory(path, name, full, status, other)))
            else:
                self._file(path, name, self._same(full, status, other), status, other)
        return below

    def _directory(self, path: str, name: str, full: str, status: os.stat_result, other: os.stat_result | None) -> bool:
        in_target = other is not None and stat.S_ISDIR(other.st_mode)
        if not in_target:
            self._replace(path, name, other)
        if not self._same(full, status, other):
            self._plan.attributes[full] = None
        return in_target

    def _file(self, path: str, name: str, same: bool, status: os.stat_result, other: os.stat_result | None) -> None:
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        if status.st_nlink > 1:
            self._linked[status.st_ino][path, name] = same
            self._sizes[status.st_ino] = size
        elif not same:
            self._plan.size += size
        if not same:
            self._replace(path, name, other)

    def _replace(self, path: str, name: str, other: os.stat_result | None) -> None:
        self._plan.copy[path].append(name)
        if other is not None:
            self._plan.remove[path].append(name)

    def _complete(self, inode: int, names: dict[tuple[str, str], bool]) -> None:
        """With one name of an inode, copy all: a renamed directory holds new names of inodes that did not change."""
        if not all(names.values()):
            self._plan.size += self._sizes[inode]
            for (path, name), same in names.items():
                if same:
                    self._plan.remove[path].append(name)
                    self._plan.copy[path].append(name)

    def _same(self, path: str, status: os.stat_result, other: os.stat_result | None) -> bool:
        return other is not None and self._unchanged(path, status) and _alike(status, other)


def outdated(plan: Plan, source: int) -> bool:
    """Whether any directory of the source has got or lost a name since it was listed. Raises OSError."""
    return any(_now(source, path) != then for path, then in plan.listed.items())


def _now(root: int, path: str) -> Identity | None:
    try:
        with directory(root, path) as fd:
            return identity(os.fstat(fd))
    except OSError as exc:
        if exc.errno not in VANISHED:
            raise
        return None


def _entries(root: int, path: str) -> dict[str, os.stat_result]:
    with directory(root, path) as fd:
        return listing(fd)


def _alike(a: os.stat_result, b: os.stat_result) -> bool:
    if (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) != (b.st_mode, b.st_uid, b.st_gid, b.st_mtime_ns):
        return False
    # A directory's size and link count say how it came to be, not what is in it.
    return stat.S_ISDIR(a.st_mode) or (a.st_size, a.st_rdev, a.st_nlink) == (b.st_size, b.st_rdev, b.st_nlink)
