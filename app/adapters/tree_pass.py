"""Carries out a plan that makes one directory tree equal to another."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.adapters.tree_delta import Identity, Plan, identity
from app.adapters.tree_errors import Tolerance
from app.adapters.tree_files import copy_directory_attributes, copy_entry, directory, remove
from app.adapters.tree_progress import Meter


class Pass:
    """Works between open directories. `read` gets the identity of what was read, by path; `meter` its bytes."""

    def __init__(
        self, plan: Plan, source: int, target: int, read: dict[str, Identity], tolerance: Tolerance, meter: Meter
    ) -> None:
        self._plan, self._source, self._target, self._read = plan, source, target, read
        self._tolerance, self._meter = tolerance, meter
        self._first_names: dict[int, tuple[str, str]] = {}

    def run(self) -> None:
        """Remove, copy, and in the end set the attributes of the directories: what happens in one changes its mtime."""
        plan = self._plan
        self._meter.expect(self._meter.done + plan.size)
        for path, names in plan.remove.items():
            with directory(self._target, path) as fd:
                for name in names:
                    remove(fd, name, self._meter.tick)
        for path, names in plan.copy.items():
            with self._tolerance, self._both(path) as (source, target):
                for name in names:
                    with self._tolerance:
                        self._copy(path, name, source, target)
        for path in {**plan.attributes, **dict.fromkeys([*plan.remove, *plan.copy])}:
            with self._tolerance, self._both(path) as (source, target):
                self._read[path] = identity(copy_directory_attributes(source, target))

    def _copy(self, path: str, name: str, source: int, target: int) -> None:
        self._meter.tick()
        full = _joined(path, name)
        self._read.pop(full, None)
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._make_directory(full, name, target)
        elif status.st_nlink > 1 and (first := self._first_name(status)):
            self._read[full] = self._link(first, name, target)
        else:
            status = copy_entry(source, target, name, self._meter.add)
            self._read[full] = identity(status)
            if status.st_nlink > 1:
                self._first_names[status.st_ino] = path, name

    def _make_directory(self, full: str, name: str, target: int) -> None:
        if full not in self._plan.attributes:
            raise OSError(errno.EISDIR, "is a directory by now", full)
        os.mkdir(name, 0o700, dir_fd=target)

    def _first_name(self, status: os.stat_result) -> tuple[str, str] | None:
        """The name under which an inode was copied already, unless its number belongs to a new one by now."""
        first = self._first_names.get(status.st_ino)
        if first is None or self._read[_joined(*first)] == identity(status) or self._is(first, status.st_ino):
            return first
        return None

    def _is(self, entry: tuple[str, str], inode: int) -> bool:
        path, name = entry
        with suppress(OSError), directory(self._source, path) as fd:
            return os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino == inode
        return False

    def _link(self, first: tuple[str, str], name: str, target: int) -> Identity:
        path, existing = first
        with directory(self._target, path) as other:
            os.link(existing, name, src_dir_fd=other, dst_dir_fd=target, follow_symlinks=False)
        return self._read[_joined(path, existing)]

    @contextmanager
    def _both(self, path: str) -> Iterator[tuple[int, int]]:
        self._meter.tick()
        with directory(self._source, path) as source, directory(self._target, path) as target:
            yield source, target


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
