"""Compares two directory trees and plans what makes the second equal to the first."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.adapters.treecopy.errors import VANISHED, Tolerance
from app.adapters.treecopy.files import directory, listing

Identity = tuple[int, ...]
Names = dict[str, bool]  # what is in a directory, and whether it is a directory itself


def identity(status: os.stat_result) -> Identity:
    """Take from its status what tells if an entry is still as it was when it was read."""
    return status.st_ino, status.st_ctime_ns, status.st_mode, status.st_size


@dataclass
class DeltaPlan:
    """List what to remove from the target and what to copy to it, as names by directory.

    `attributes` are the directories, parents first, that need their attributes set after all that. `size` is the
    number of bytes in the files to be copied, `listed` how each directory of the source was before it was listed,
    `held` what is in each of these directories in the target, which is nothing where the target lacks it.
    """

    remove: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    copy: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attributes: dict[str, None] = field(default_factory=dict)
    size: int = 0
    listed: dict[str, Identity] = field(default_factory=dict)
    held: dict[str, Names] = field(default_factory=dict)


class Comparison:
    """Goes through two trees, given as open directories, and asks `unchanged(path, status)` about each source entry.

    What is unchanged but looks different in the target counts as changed. A directory of the target that is among
    `held` is not looked at: it has these names, and what is unchanged there is as it should be. A source directory
    that cannot be read, which `tolerance` may cover, stays in the target as it is. `tick` is called for each
    directory. Raises OSError.
    """

    def __init__(
        self,
        source: int,
        target: int,
        unchanged: Callable[[str, os.stat_result], bool],
        held: Mapping[str, Names],
        tolerance: Tolerance,
        tick: Callable[[], None],
    ) -> None:
        self._source, self._target = source, target
        self._unchanged, self._held, self._tolerance, self._tick = unchanged, held, tolerance, tick
        self._plan = DeltaPlan()
        self._linked: dict[int, dict[tuple[str, str], bool]] = defaultdict(dict)
        self._sizes: dict[int, int] = {}

    def plan(self) -> DeltaPlan:
        """Compare; to be called once."""
        status = os.fstat(self._source)
        if not (self._unchanged("", status) and _alike(status, os.fstat(self._target))):
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
        held, looks = self._in_target(path) if in_target else ({}, {})
        self._plan.held[path] = held
        below = []
        for name in held.keys() - old.keys():
            self._plan.remove[path].append(name)
        for name, status in old.items():
            full, there = f"{path}/{name}" if path else name, held.get(name)
            same = there is not None and self._unchanged(full, status)
            if same and looks is not None:
                same = _alike(status, looks[name])
            if stat.S_ISDIR(status.st_mode):
                below.append((full, self._directory(path, name, full, same, there)))
            else:
                self._file(path, name, same, status, there)
        return below

    def _in_target(self, path: str) -> tuple[Names, dict[str, os.stat_result] | None]:
        """The names in a directory of the target, and what each looks like if that is not known to be right."""
        if path in self._held:
            return self._held[path], None
        with directory(self._target, path) as fd:
            found = listing(fd)
        return {name: stat.S_ISDIR(status.st_mode) for name, status in found.items()}, found

    def _directory(self, path: str, name: str, full: str, same: bool, there: bool | None) -> bool:
        if not there:
            self._replace(path, name, there)
        if not (same and there):
            self._plan.attributes[full] = None
        return bool(there)

    def _file(self, path: str, name: str, same: bool, status: os.stat_result, there: bool | None) -> None:
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        if status.st_nlink > 1:
            self._linked[status.st_ino][path, name] = same
            self._sizes[status.st_ino] = size
        elif not same:
            self._plan.size += size
        if not same:
            self._replace(path, name, there)

    def _replace(self, path: str, name: str, there: bool | None) -> None:
        self._plan.copy[path].append(name)
        if there is not None:
            self._plan.remove[path].append(name)

    def _complete(self, inode: int, names: dict[tuple[str, str], bool]) -> None:
        """With one name of an inode, copy all: a renamed directory holds new names of inodes that did not change."""
        if not all(names.values()):
            self._plan.size += self._sizes[inode]
            for (path, name), same in names.items():
                if same:
                    self._plan.remove[path].append(name)
                    self._plan.copy[path].append(name)


def outdated(plan: DeltaPlan, source: int) -> bool:
    """Tell if any directory of the source has got or lost a name since it was listed. Raises OSError."""
    return any(_now(source, path) != then for path, then in plan.listed.items())


def _now(root: int, path: str) -> Identity | None:
    try:
        with directory(root, path) as fd:
            return identity(os.fstat(fd))
    except OSError as exc:
        if exc.errno not in VANISHED:
            raise
        return None


def _alike(a: os.stat_result, b: os.stat_result) -> bool:
    if (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) != (b.st_mode, b.st_uid, b.st_gid, b.st_mtime_ns):
        return False
    # A directory's size and link count say how it came to be, not what is in it.
    return stat.S_ISDIR(a.st_mode) or (a.st_size, a.st_rdev, a.st_nlink) == (b.st_size, b.st_rdev, b.st_nlink)
