"""Copying from a source whose writers are not stopped: what they leave alone arrives, and real failures are told."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.adapters.docker.layers_overlay2 import LayerTransfer
from app.adapters.treecopy import progress, sync
from app.adapters.treecopy.delta import Comparison, DeltaPlan
from app.errors import LayerCopyFailed
from tests.support.churn import churning
from tests.support.trees import differences, make_everything, untold


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "old"
    made.mkdir()
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "new"
    made.mkdir()
    (made / "stale").mkdir()
    (made / "stale/file").touch()
    return made


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def swapped_after_looking(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Make `change` happen after the first comparison of the trees and before anything is copied."""
    real, changes = Comparison.plan, [change]

    def plan(comparison: Comparison) -> DeltaPlan:
        made = real(comparison)
        while changes:
            changes.pop()()
        return made

    monkeypatch.setattr(Comparison, "plan", plan)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_whatever_writers_do_the_rest_arrives(
    seed: int, live: bool, source: Path, target: Path, tmp_path: Path
) -> None:
    (source / "quiet").mkdir()
    make_everything(source / "quiet")
    (source / "quiet too").write_text("x")
    transfer = LayerTransfer(str(source), str(target), untold)
    with churning(source, tmp_path / "outside", seed):
        for _ in range(10):
            if live:
                transfer.copy_live()
            transfer.settle()
            assert differences(source / "quiet", target / "quiet") == []
            assert (target / "quiet too").read_text() == "x"
            assert not (target / "stale").exists()
            transfer = transfer if live else LayerTransfer(str(source), str(target), untold)
    transfer.settle()
    assert differences(source, target) == []


def test_where_times_tell_nothing_all_is_copied(memory: Path, target: Path, tmp_path: Path) -> None:
    source = memory / "old"
    (source / "quiet").mkdir(parents=True)
    for number in range(100):
        (source / f"quiet/f{number}").write_bytes(os.urandom(1000 * number))
    transfer = LayerTransfer(str(source), str(target), untold)
    with churning(source, tmp_path / "outside", 1):
        for _ in range(5):
            transfer.copy_live()
            transfer.settle()
            assert differences(source / "quiet", target / "quiet") == []
    # A change that shows in no status, as a store to a mapped page is there.
    (target / "quiet/f99").write_bytes(bytes(99_000))
    status = (source / "quiet/f99").stat()
    os.utime(target / "quiet/f99", ns=(status.st_atime_ns, status.st_mtime_ns))
    transfer.settle()
    assert differences(source, target) == []


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("new")


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("new")


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file vanishes": lambda top: (top / "large").unlink(),
    "a tree vanishes": lambda top: shutil.rmtree(top / "deep"),
    "a tree moves": lambda top: (top / "deep").rename(top / "moved away"),
    "a file turns directory": lambda top: replace_by_directory(top / "large"),
    "a file turns link": lambda top: replace_by_link(top / "large"),
    "a directory turns file": lambda top: replace_by_file(top / "links"),
    "a directory turns link": lambda top: replace_by_link(top / "links"),
    "a symlink turns file": lambda top: ((top / "relative").unlink(), (top / "relative").write_text("new")),
    "a fifo turns directory": lambda top: replace_by_directory(top / "fifo"),
    "a file moves to where it is overlooked": lambda top: (top / "links/first").rename(top / "first"),
    "a file is rotated": lambda top: ((top / "large").rename(top / "large.1"), (top / "large").write_text("new")),
    "one of three names vanishes": lambda top: (top / "third").unlink(),
}


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_no_failure_and_nothing_lost_when(
    change: str, earlier: bool, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_everything(source)
    transfer = LayerTransfer(str(source), str(target), untold)
    if earlier:
        transfer.copy_live()
    swapped_after_looking(monkeypatch, lambda: CHANGES[change](source))
    transfer.settle()
    assert differences(source, target) == []


def test_a_directory_out_of_sight_for_a_moment_is_not_emptied(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "d").mkdir()
    (source / "d/file").write_text("x")
    transfer = LayerTransfer(str(source), str(target), untold)
    transfer.copy_live()
    monkeypatch.setattr(sync, "_ROUNDS", 1)
    real = Comparison._compare

    def hidden(comparison: Comparison, path: str, in_target: bool) -> list[tuple[str, bool]]:
        if path == "d":
            (source / "d").rename(source / "hidden")
        found = real(comparison, path, in_target)
        if path == "d":
            (source / "hidden").rename(source / "d")
        return found

    monkeypatch.setattr(Comparison, "_compare", hidden)
    transfer.settle()
    assert differences(source, target) == []


class Reuse:
    """Of two files with two names each, deletes the one that was copied first and gives its inode to the other."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target = source, target
        self.inode, self.other, self.done = 0, "", False

    def __call__(self, done: int, total: int | None) -> None:
        if not self.inode and (copied := [path.name[0] for path in self.target.iterdir()]):
            self.other = "b" if copied[0] == "a" else "a"
            self.inode = (self.source / copied[0]).stat().st_ino
            (self.source / copied[0]).unlink()
            (self.source / f"{copied[0]}2").unlink()
        for number in range(20 if self.inode and not self.done else 0):
            new = self.source / f"new{number}"
            new.unlink(missing_ok=True)
            new.write_text("new")
            if new.stat().st_ino == self.inode:  # not yet while the copier has it open
                new.rename(self.source / self.other)
                (self.source / f"{self.other}2").unlink()
                (self.source / f"{self.other}2").hardlink_to(self.source / self.other)
                self.done = True
                return


def test_an_inode_number_used_again_makes_no_link(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST", 0)
    monkeypatch.setattr(progress, "_BETWEEN", 0)
    monkeypatch.setattr(sync, "_ROUNDS", 1)
    shutil.rmtree(target / "stale")
    for name in ("a", "b"):
        (source / name).write_text(f"old {name}")
        (source / f"{name}2").hardlink_to(source / name)
    reuse = Reuse(source, target)
    LayerTransfer(str(source), str(target), reuse).settle()
    assert reuse.done
    assert (target / reuse.other).read_text() == "new"


def test_what_really_fails_is_told(source: Path, target: Path) -> None:
    (target / "d").mkdir()
    (source / "d").mkdir()
    (source / "d/file").write_text("x")
    subprocess.run(["chattr", "+i", target / "d"], check=True)
    try:
        transfer = LayerTransfer(str(source), str(target), untold)
        transfer.copy_live()
        with pytest.raises(LayerCopyFailed):
            transfer.settle()
    finally:
        subprocess.run(["chattr", "-i", target / "d"], check=True)


def test_a_source_that_is_gone_altogether_is_a_failure(source: Path, target: Path) -> None:
    source.rmdir()
    with pytest.raises(LayerCopyFailed):
        LayerTransfer(str(source), str(target), untold).settle()
    assert (target / "stale/file").exists()
