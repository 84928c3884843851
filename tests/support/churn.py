"""A program that changes a directory tree without rest, in every way that makes copying it hard.

`churning` runs it: `python -m tests.support.churn DIRECTORY OUTSIDE SEED` says "ready" and goes on until it is killed.
It makes links to the directory OUTSIDE, and what it writes lands there when it does so at the wrong moment.
"""

import mmap
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tests.support.trees import acl

_MAPPED = 5000
_LARGE = 70_000


@contextmanager
def churning(layer: Path, outside: Path, seed: int) -> Iterator[None]:
    """A context during which `layer` is changed all the time; `outside` is made, and is where its links lead."""
    outside.mkdir()
    for number in range(40):
        (outside / f"f{number}").write_text("the host's")
    command = [sys.executable, "-m", "tests.support.churn", str(layer), str(outside), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as churn:
        assert churn.stdout is not None
        assert churn.stdout.readline() == b"ready\n"
        try:
            yield
            assert churn.poll() is None
        finally:
            churn.kill()


class Churn:
    """Random changes among 6 directories of 40 names; each method is one kind of change."""

    def __init__(self, top: Path, outside: Path, seed: int) -> None:
        self.outside = outside
        self.random = random.Random(seed)
        self.directories = [top, *(top / f"d{number}" for number in range(5))]
        self.maps: list[mmap.mmap] = []

    def run(self) -> None:
        kinds: list[Callable[[], object]] = [self.write, self.rewrite_in_place, self.store, self.delete, self.rename]
        kinds += [self.link, self.mode, self.owner, self.xattr, self.access_list, self.directory, self.special]
        kinds += [
            self.exchange_directories,
            self.replace_directory,
            self.map,
            self.truncate,
            self.own_file,
            self.lead_outside,
        ]
        for _ in range(2000):
            self.change(self.write)
        print("ready", flush=True)
        while True:
            self.change(self.random.choice(kinds))

    def change(self, kind: Callable[[], object]) -> None:
        try:
            kind()
        except (OSError, shutil.Error):
            return  # an unlucky choice of names: wrong type, or none there

    def path(self) -> Path:
        return self.random.choice(self.directories) / f"f{self.random.randrange(40)}"

    def data(self) -> bytes:
        return self.random.randbytes(self.random.choice([0, 100, 5000, _LARGE]))

    def opened(self, path: Path, flags: int) -> BinaryIO:
        # Never through a link, and never waiting for a fifo's other end.
        return os.fdopen(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644), "wb", buffering=0)

    def write(self) -> None:
        path = self.path()
        path.parent.mkdir(exist_ok=True)
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            file.write(self.data())

    def rewrite_in_place(self) -> None:
        path = self.path()
        status = path.lstat()
        with self.opened(path, os.O_WRONLY) as file:
            file.write(self.random.randbytes(status.st_size))
            os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))

    def truncate(self) -> None:
        with self.opened(self.path(), os.O_WRONLY) as file:
            # Not below what is mapped: a store behind the end would be a SIGBUS.
            os.ftruncate(file.fileno(), max(_MAPPED, self.random.randrange(10_000)))

    def map(self) -> None:
        with self.opened(self.path(), os.O_RDWR) as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size == _LARGE:
                self.maps.append(mmap.mmap(file.fileno(), _MAPPED))
        if len(self.maps) > 60:
            self.maps.pop(0).close()

    def store(self) -> None:
        if self.maps:
            at = self.random.randrange(_MAPPED - 8)
            mapped = self.random.choice(self.maps)
            if mapped.size() >= _MAPPED:
                mapped[at : at + 8] = self.random.randbytes(8)

    def own_file(self) -> None:
        path = self.path()
        shutil.copy2(path, path.with_name("copy"), follow_symlinks=False)
        path.with_name("copy").rename(path)

    def delete(self) -> None:
        self.path().unlink()

    def rename(self) -> None:
        self.path().rename(self.path())

    def link(self) -> None:
        os.link(self.path(), self.path(), follow_symlinks=False)

    def mode(self) -> None:
        path = self.path()
        if not path.is_symlink():
            path.chmod(self.random.randrange(0o10000))

    def owner(self) -> None:
        os.chown(self.path(), self.random.randrange(3), self.random.randrange(3), follow_symlinks=False)

    def xattr(self) -> None:
        path, name = self.path(), self.random.choice(["trusted.a", "user.b"])
        if self.random.random() < 0.3:
            os.removexattr(path, name, follow_symlinks=False)
        os.setxattr(path, name, self.data()[:200], follow_symlinks=False)

    def access_list(self) -> None:
        os.setxattr(self.path().parent, "system.posix_acl_default", acl(self.random.randrange(5)))

    def directory(self) -> None:
        path = self.path()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
            path.mkdir()
            (path / "inside").write_bytes(self.data())

    def special(self) -> None:
        path = self.path()
        path.unlink(missing_ok=True)
        kind = self.random.randrange(4)
        if kind == 0:
            path.symlink_to(self.random.choice([self.outside, self.outside / "f1", "nowhere", "f1"]))
        else:
            os.mknod(path, (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)[kind - 1] | 0o644, 0)

    def exchange_directories(self) -> None:
        first, second = self.random.sample(self.directories[1:], 2)
        between = first.with_name("between")
        first.rename(between)
        second.rename(first)
        between.rename(second)

    def lead_outside(self) -> None:
        path = self.random.choice(self.directories[1:])
        path.rename(path.with_name("hidden"))
        path.symlink_to(self.outside)
        time.sleep(0.001)
        path.unlink()
        path.with_name("hidden").rename(path)

    def replace_directory(self) -> None:
        if self.random.random() < 0.1:
            path = self.random.choice(self.directories[1:])
            shutil.rmtree(path)
            path.mkdir()


if __name__ == "__main__":
    Churn(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).run()
