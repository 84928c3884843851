"""Long copies tell how far they are, and end at once when nobody wants them any more."""

import errno
import os
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from app.adapters.treecopy import copy, progress
from app.adapters.treecopy.transfer import TreeTransfer
from app.errors import Cancelled, Unavailable
from tests.support.trees import differences, make_everything

_FILE = 32 << 20
_FILES = 12
_STEPS = ["copy_live", "settle", "finish"]


class Told:
    """Remembers what a copy tells, and raises `reason` once something but not everything is done."""

    def __init__(self, reason: Exception | None = None) -> None:
        self.calls: list[tuple[int, int | None]] = []
        self.reason = reason

    def __call__(self, done: int, total: int | None) -> None:
        self.calls.append((done, total))
        if self.reason and done:
            raise self.reason


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "old"
    made.mkdir()
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "new"
    made.mkdir()
    return made


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second counts as a long copy."""
    monkeypatch.setattr(progress, "_FIRST", 0)
    monkeypatch.setattr(progress, "_BETWEEN", 0)
    monkeypatch.setattr(copy, "_LONG", 0)
    monkeypatch.setattr(copy, "_LOOK", 2)


def make_large(directory: Path) -> None:
    """Files that cannot be copied in the time of a few looks."""
    block = os.urandom(_FILE)
    for number in range(_FILES):
        (directory / f"f{number}").write_bytes(block)
    (directory / "link").hardlink_to(directory / "f0")


def make_huge(path: Path) -> None:
    block = os.urandom(_FILE)
    with path.open("wb") as file:
        for _ in range(_FILES):
            file.write(block)


def copies_running(target: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if line.startswith((b"cp\0", b"setpriv\0")) and os.fsencode(target) in line:
            found.append(str(path))
    return found


@pytest.mark.parametrize("step", _STEPS)
def test_a_long_copy_tells_how_far_it_is(step: str, source: Path, target: Path, talkative: None) -> None:
    make_large(source)
    told = Told()
    getattr(TreeTransfer(str(source), str(target), told), step)()
    done = [done for done, _ in told.calls]
    assert done == sorted(done)
    assert len({number for number in done if 0 < number < _FILES * _FILE}) > 2
    assert told.calls[-1] == (_FILES * _FILE, _FILES * _FILE)
    assert {total for _, total in told.calls} == {None, _FILES * _FILE}
    assert differences(source, target) == []


@pytest.mark.parametrize("steps", [["finish"], ["copy_live", "finish"], ["settle"]])
def test_everything_is_counted_once(steps: list[str], source: Path, target: Path, talkative: None) -> None:
    make_everything(source)
    total = sum({path.lstat().st_ino: path.lstat().st_size for path in source.rglob("*") if is_file(path)}.values())
    told = Told()
    transfer = TreeTransfer(str(source), str(target), told)
    for step in steps:
        getattr(transfer, step)()
        assert told.calls[-1] == (total, total)
    assert differences(source, target) == []


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def test_one_huge_file_is_told_of_in_its_middle(source: Path, target: Path, talkative: None) -> None:
    make_huge(source / "huge")
    told = Told()
    TreeTransfer(str(source), str(target), told).copy_live()
    assert len({done for done, _ in told.calls}) >= _FILES
    assert told.calls[-1] == (_FILES * _FILE, _FILES * _FILE)


@pytest.mark.parametrize(
    "reason", [Cancelled("not wanted"), OSError(errno.ENOENT, "etcd's socket"), ValueError("odd")], ids=type
)
@pytest.mark.parametrize("make", [make_large, lambda directory: make_huge(directory / "huge")], ids=["many", "huge"])
@pytest.mark.parametrize("step", ["copy_live", "settle"])
def test_a_pass_ends_in_the_middle(
    step: str, make: Callable[[Path], None], reason: Exception, source: Path, target: Path, talkative: None
) -> None:
    make(source)
    told = Told(reason)
    transfer = TreeTransfer(str(source), str(target), told)
    with pytest.raises(type(reason)) as raised:
        getattr(transfer, step)()
    assert raised.value is reason and raised.value.__cause__ is None
    assert len([done for done, _ in told.calls if done]) == 1
    assert 0 < size(target) < size(source)


@pytest.mark.parametrize("reason", [Cancelled("not wanted"), OSError(errno.ENOSPC, "another disk")], ids=type)
def test_cp_ends_in_the_middle(reason: Exception, source: Path, target: Path, talkative: None) -> None:
    make_large(source)
    with pytest.raises(type(reason)) as raised:
        TreeTransfer(str(source), str(target), Told(reason)).finish()
    assert raised.value is reason and raised.value.__cause__ is None
    assert copies_running(target) == []
    assert 0 < size(target) < size(source)


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_cp_is_seen_while_it_runs(source: Path, target: Path, talkative: None) -> None:
    # Or the test above could not tell that it is gone.
    make_large(source)
    seen: list[str] = []
    TreeTransfer(str(source), str(target), lambda done, total: seen.extend(copies_running(target))).finish()
    assert seen


def test_a_copy_can_be_ended_that_has_no_bytes_to_copy(source: Path, target: Path, talkative: None) -> None:
    for number in range(100):
        (source / f"f{number}").touch()

    def refuse(done: int, total: int | None) -> None:
        if any(target.iterdir()):
            raise Cancelled("not wanted")

    with pytest.raises(Cancelled):
        TreeTransfer(str(source), str(target), refuse).copy_live()
    assert len(list(target.iterdir())) == 1


def test_after_an_end_in_the_middle_a_new_copy_starts_over(source: Path, target: Path, talkative: None) -> None:
    make_large(source)
    told = Told(Cancelled("not wanted"))
    transfer = TreeTransfer(str(source), str(target), told)
    with pytest.raises(Cancelled):
        transfer.copy_live()
    told.reason = None
    transfer.copy_live()
    transfer.finish()
    assert differences(source, target) == []


def test_what_cp_says_does_not_hold_it_up(source: Path, target: Path) -> None:
    # More messages than a pipe holds, for a target without room for any of the files.
    for number in range(1000):
        (source / f"{number}-{'n' * 200}").write_bytes(b"x")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k,nr_inodes=2", "none", target], check=True)
    try:
        with pytest.raises(Unavailable) as raised:
            TreeTransfer(str(source), str(target), Told()).finish()
    finally:
        subprocess.run(["umount", target], check=True)
    assert raised.value.part == "disk"


def test_short_copies_are_not_told_of_and_long_ones_four_times_a_second() -> None:
    at: list[float] = []
    meter = progress.Meter(lambda done, total: at.append(time.monotonic()))
    begun = time.monotonic()
    meter.add(1)
    meter.end()
    assert at == []
    while len(at) < 3 and time.monotonic() < begun + 60:
        meter.add(1)
    assert at[0] - begun >= 0.3
    assert len(at) == 3
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(at))
