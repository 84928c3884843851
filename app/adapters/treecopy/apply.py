"""Carries out a plan that makes one directory tree equal to another."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.adapters.treecopy.delta import DeltaPlan, Identity, Names, identity
from app.adapters.treecopy.entry import Entries, copy_directory_attributes
from app.adapters.treecopy.errors import Tolerance
from app.adapters.treecopy.files import directory, remove
from app.adapters.treecopy.progress import Meter
from app.adapters.treecopy.writeback import Writeback
from app.model.messages import Text


class Pass:
    """Works between open directories. `read` gets the identity of what was read, by path; `meter` its bytes."""

    def __init__(
        self, plan: DeltaPlan, source: int, target: int, read: dict[str, Identity], tolerance: Tolerance, meter: Meter
    ) -> None:
        self._plan, self._source, self._target, self._read = plan, source, target, read
        self._tolerance, self._meter = tolerance, meter
        self._writeback = Writeback(target)
        self._first_names: dict[int, tuple[str, str]] = {}

    def run(self) -> dict[str, Names]:
        """Remove, copy, and in the end set the attributes of the directories: what happens in one changes its mtime.

        Returns what is in the target's directories then. Each entry there has all that was read last of it in the
        source; directories where something failed that is put up with are left out.
        """
        plan = self._plan
        self._meter.expect(self._meter.done + plan.size)
        for path, names in plan.remove.items():
            self._remove(path, names)
        with self._writeback:
            for path, names in plan.copy.items():
                with self._tolerance, self._both(path) as (source, target):
                    self._fill(path, names, source, target)
        for path in {**plan.attributes, **dict.fromkeys([*plan.remove, *plan.copy])}:
            self._read.pop(path, None)
            with self._tolerance, self._both(path) as (source, target):
                self._read[path] = identity(copy_directory_attributes(source, target))
        return plan.held

    def _remove(self, path: str, names: list[str]) -> None:
        held = self._plan.held[path]
        with directory(self._target, path) as fd:
            for name in names:
                remove(fd, name, self._meter.tick)
                del held[name]

    def _fill(self, path: str, names: list[str], source: int, target: int) -> None:
        held, entries = self._plan.held[path], Entries(target, self._copied)
        for name in names:
            self._meter.tick()
            try:
                held[name] = self._copy(path, name, source, target, entries)
            except OSError as exc:
                if not self._tolerance.covers(exc):
                    raise
                self._plan.held.pop(path, None)  # who knows how much of it is there

    def _copied(self, count: int) -> None:
        self._meter.add(count)
        self._writeback.reach(self._meter.done)

    def _copy(self, path: str, name: str, source: int, target: int, entries: Entries) -> bool:
        """Copy one entry; whether it is a directory, of which there is then an empty one."""
        full = _joined(path, name)
        self._read.pop(full, None)
        # O_PATH: what was a file a moment ago may be a device node now, and opening a device acts on it. And whatever
        # takes the name from here on, all that is copied is of one and the same inode.
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            status = os.fstat(handle)
            if stat.S_ISDIR(status.st_mode):
                self._make_directory(full, name, target)
                return True
            if status.st_nlink > 1 and (first := self._first_name(status)):
                self._read[full] = self._link(first, name, target)
                return False
            entries.copy(handle, name, status)
        finally:
            os.close(handle)
        self._read[full] = identity(status)
        if status.st_nlink > 1:
            self._first_names[status.st_ino] = path, name
        return False

    def _make_directory(self, full: str, name: str, target: int) -> None:
        if full not in self._plan.attributes:
            raise OSError(errno.EISDIR, Text("is a directory by now"), full)
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
