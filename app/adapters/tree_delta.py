"""Compares two directory trees and plans what makes the second equal to the first."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from app.adapters.tree_files import directory, listing


@dataclass
class Plan:
    """What to remove from the target and what to copy to it, as names by directory.

    `attributes` are the directories, parents first, that need their attributes set after all that.
    """

    remove: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    copy: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    attributes: dict[str, None] = field(default_factory=dict)


class Comparison:
    """Goes through two trees, given as open directories, and asks `unchanged(path, status)` about each source entry.

    What is unchanged but looks different in the target counts as changed. With `live`, directories that vanish
    or change their type meanwhile are passed over. Raises OSError.
    """

    def __init__(self, source: int, target: int, unchanged: Callable[[str, os.stat_result], bool], live: bool) -> None:
        self._source, self._target, self._unchanged, self._live = source, target, unchanged, live
        self._plan = Plan()
        self._linked: dict[int, dict[tuple[str, str], bool]] = defaultdict(dict)

    def plan(self) -> Plan:
        """Compare; to be called once."""
        if not self._same("", os.fstat(self._source), os.fstat(self._target)):
            self._plan.attributes[""] = None
        found = [("", True)]
        for path, in_target in found:
            found += self._compare(path, in_target)
        for names in self._linked.values():
            self._complete(names)
        return self._plan

    def _compare(self, path: str, in_target: bool) -> list[tuple[str, bool]]:
        """Plan one directory; the directories in it, and whether the target has them too."""
        old, new = self._source_entries(path), _entries(self._target, path) if in_target else {}
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
        if status.st_nlink > 1:
            self._linked[status.st_ino][path, name] = same
        if not same:
            self._replace(path, name, other)

    def _replace(self, path: str, name: str, other: os.stat_result | None) -> None:
        self._plan.copy[path].append(name)
        if other is not None:
            self._plan.remove[path].append(name)

    def _complete(self, names: dict[tuple[str, str], bool]) -> None:
        """With one name of an inode, copy all: a renamed directory holds new names of inodes that did not change."""
        if not all(names.values()):
            for (path, name), same in names.items():
                if same:
                    self._plan.remove[path].append(name)
                    self._plan.copy[path].append(name)

    def _same(self, path: str, status: os.stat_result, other: os.stat_result | None) -> bool:
        return other is not None and self._unchanged(path, status) and _alike(status, other)

    def _source_entries(self, path: str) -> dict[str, os.stat_result]:
        try:
            return _entries(self._source, path)
        except OSError:
            if not self._live:
                raise
            return {}


def _entries(root: int, path: str) -> dict[str, os.stat_result]:
    with directory(root, path) as fd:
        return listing(fd)


def _alike(a: os.stat_result, b: os.stat_result) -> bool:
    if (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) != (b.st_mode, b.st_uid, b.st_gid, b.st_mtime_ns):
        return False
    # A directory's size and link count say how it came to be, not what is in it.
    return stat.S_ISDIR(a.st_mode) or (a.st_size, a.st_rdev, a.st_nlink) == (b.st_size, b.st_rdev, b.st_nlink)
