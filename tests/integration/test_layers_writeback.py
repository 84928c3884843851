"""What is copied goes to disk while the copy goes on, and a disk that refuses it is never overheard."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.treecopy import copy, progress, writeback
from app.adapters.treecopy.transfer import TreeTransfer
from app.errors import Cancelled, LayerCopyFailed, Unavailable
from tests.support.layers import LAYERS
from tests.support.trees import differences, untold

_STEPS = ["copy_live", "settle", "finish"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "old"
    made.mkdir()
    block = os.urandom(8 << 20)
    for number in range(12):
        (made / f"f{number}").write_bytes(block)
    return made


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written to disk after every file."""
    monkeypatch.setattr(writeback, "_SECONDS", 0)
    monkeypatch.setattr(copy, "_LOOK", 1)


@pytest.fixture
def dying_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem that takes more than its disk can: only what writes it out learns of that."""
    memory, place = tmp_path / "memory", tmp_path / "dying"
    memory.mkdir()
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", memory], check=True)
    try:
        image = memory / "image"
        image.touch()
        os.truncate(image, 200 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
        subprocess.run(["mount", "-o", "loop,errors=continue", image, place], check=True)
        yield place
        subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["umount", "--lazy", memory], check=True)  # the loop device lets go of it a moment later


@pytest.mark.parametrize("step", _STEPS)
def test_a_disk_that_refuses_fails_the_copy(step: str, source: Path, dying_disk: Path, eager: None) -> None:
    target = dying_disk / "new"
    target.mkdir()
    with pytest.raises((LayerCopyFailed, Unavailable)):  # kernels disagree on what is wrong with it
        getattr(TreeTransfer(str(source), str(target), untold), step)()
        LAYERS.sync(str(target))  # a disk that has been quicker than the copy is heard of here, as in a change


@pytest.mark.parametrize("step", _STEPS)
def test_little_is_left_to_be_written_in_the_end(step: str, source: Path, tmp_path: Path, eager: None) -> None:
    target = tmp_path / "new"
    target.mkdir()
    os.sync()
    before = _written(target)
    getattr(TreeTransfer(str(source), str(target), untold), step)()
    assert _written(target) - before > 50 << 20
    assert differences(source, target) == []


def _written(place: Path) -> int:
    """Bytes that the disk of `place` has been given since it was attached."""
    device = place.stat().st_dev
    return int(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()[6]) * 512


def test_what_ends_a_copy_counts_more_than_what_the_disk_says(
    source: Path, dying_disk: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_FIRST", 0)
    monkeypatch.setattr(progress, "_BETWEEN", 0)
    target = dying_disk / "new"
    target.mkdir()

    def refuse(done: int, total: int | None) -> None:
        if done > 64 << 20:
            raise Cancelled("not wanted")

    with pytest.raises(Cancelled):
        TreeTransfer(str(source), str(target), refuse).copy_live()
