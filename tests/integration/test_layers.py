"""Carrying layers, on real filesystems: nothing is lost, nothing comes back, whoever writes meanwhile."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters.treecopy import delta, sync
from app.adapters.treecopy.delta import Comparison, DeltaPlan
from app.adapters.treecopy.files import listing
from app.errors import LayerCopyFailed, Unavailable
from tests.support.layers import LAYERS
from tests.support.trees import differences, make_everything, make_layer, store_mapped, untold


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_layer(tmp_path, "old")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    layer = make_layer(tmp_path, "new")
    (layer / "mnt").mkdir()
    (layer / "mnt/made by docker").write_text("for a bind")
    os.setxattr(layer, "trusted.overlay.origin", b"of the new one")
    return layer


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files just made count as quiet already, so that a last pass builds on the live one."""
    monkeypatch.setattr(sync, "_MARGIN", -3_600_000_000_000)


def test_a_copy_after_the_stop_is_equal_in_everything(source: Path, target: Path) -> None:
    make_everything(source)
    LAYERS.begin(str(source), str(target), untold).finish()
    assert differences(source, target) == []


def test_a_live_pass_and_a_last_one_are_equal_in_everything(source: Path, target: Path) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    assert differences(source, target) == []
    transfer.finish()
    assert differences(source, target) == []


def test_nothing_is_copied_again_that_did_not_change(source: Path, target: Path, settled: None) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    before = {path: (path.lstat().st_ino, path.lstat().st_ctime_ns) for path in target.rglob("*")}
    transfer.finish()
    assert {path: (path.lstat().st_ino, path.lstat().st_ctime_ns) for path in target.rglob("*")} == before


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("was a directory")


def rewrite_keeping_size_and_mtime(path: Path) -> None:
    status = path.stat()
    path.write_bytes(os.urandom(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def exchange(a: Path, b: Path) -> None:
    between = a.with_name("between")
    a.rename(between)
    b.rename(a)
    between.rename(b)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda top: (top / "new").write_text("n"),
    "a deleted file": lambda top: (top / "large").unlink(),
    "a deleted tree": lambda top: shutil.rmtree(top / "deep"),
    "a whiteout": lambda top: (
        (top / "large").unlink(),
        os.mknod(top / "large", stat.S_IFCHR, os.makedev(0, 0)),
    ),
    "content, size and mtime kept": lambda top: rewrite_keeping_size_and_mtime(top / "large"),
    "content, by a mapping": lambda top: store_mapped(top / "large", 5000, b"stored"),
    "a mode": lambda top: (top / "large").chmod(0o4711),
    "an owner": lambda top: os.chown(top / "program", 5, 6),
    "an xattr": lambda top: os.setxattr(top / "attributes", "user.binary", b"other"),
    "an xattr taken away": lambda top: os.removexattr(top / "attributes", "system.posix_acl_access"),
    "a directory's xattr taken away": lambda top: os.removexattr(top / "shared", "system.posix_acl_default"),
    "the top's xattr": lambda top: os.setxattr(top, "trusted.overlay.impure", b"z"),
    "a directory's mode": lambda top: (top / "sticky").chmod(0o700),
    "a directory's time": lambda top: os.utime(top / "sticky", ns=(5, 6)),
    "a symlink": lambda top: ((top / "relative").unlink(), (top / "relative").symlink_to("../up/\udcfe")),
    "a symlink's time": lambda top: os.utime(top / "relative", ns=(5, 6), follow_symlinks=False),
    "a device number": lambda top: (
        (top / "null").unlink(),
        os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    ),
    "a file turned directory": lambda top: replace_by_directory(top / "large"),
    "a directory turned file": lambda top: replace_by_file(top / "links"),
    "a further hard link": lambda top: (top / "sticky/fourth").hardlink_to(top / "third"),
    "a hard link taken away": lambda top: (top / "third").unlink(),
    "a hard link made a file of its own": lambda top: (
        shutil.copy2(top / "third", top / "t") and (top / "t").rename(top / "third")
    ),
    "a renamed directory with hard links": lambda top: (top / "links").rename(top / "renamed"),
    "a renamed tree": lambda top: (top / "deep").rename(top / "sticky/deep"),
    "two files exchanged": lambda top: exchange(top / "zeros", top / "large"),
    "two directories exchanged": lambda top: exchange(top / "links", top / "shared"),
    "holes filled": lambda top: (top / "sparse").write_bytes(bytes(1 << 20)),
    "a truncated file": lambda top: os.truncate(top / "large", 100),
    "a new file where a default ACL rules": lambda top: (top / "shared/new").write_text("n"),
    "a file without ACL where a default ACL rules": lambda top: (top / "zeros").rename(top / "shared/zeros"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_last_pass_carries(change: str, source: Path, target: Path, settled: None) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    CHANGES[change](source)
    assert differences(source, target) != []
    transfer.finish()
    assert differences(source, target) == []


def test_a_change_within_the_same_tick_is_carried(source: Path, target: Path) -> None:
    # The margin is what catches these: both writes may have one and the same ctime.
    for number in range(300):
        (source / f"f{number}").write_bytes(b"one")
        os.utime(source / f"f{number}", ns=(1, 1))
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    for number in range(300):
        (source / f"f{number}").write_bytes(b"two")
        os.utime(source / f"f{number}", ns=(1, 1))
    transfer.finish()
    assert differences(source, target) == []


def test_nothing_is_believed_after_the_clock_was_set(
    source: Path, target: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    # What a clock set back can do, without setting this machine's: a change that shows in no status.
    victim = target / "large"
    status = victim.stat()
    victim.write_bytes(b"!" * status.st_size)
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = sync._clock()
    monkeypatch.setattr(sync, "_clock", lambda: now - 60_000_000_000)
    transfer.finish()
    assert differences(source, target) == []


def test_live_passes_may_be_repeated(source: Path, target: Path) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    (source / "links").rename(source / "renamed")
    transfer.copy_live()
    (source / "third").unlink()
    transfer.finish()
    assert differences(source, target) == []


def test_a_live_pass_follows_no_link_out_of_the_layer(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "host"
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    (source / "d").mkdir()
    (source / "d/secret").write_text("mine")
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    real = Comparison.plan

    def swap_after_looking(comparison: Comparison) -> DeltaPlan:
        plan = real(comparison)
        (source / "d").rename(source / "e")
        (source / "d").symlink_to(outside)
        return plan

    monkeypatch.setattr(Comparison, "plan", swap_after_looking)
    transfer.copy_live()
    assert [path for path in target.rglob("secret") if path.read_text() != "mine"] == []


@pytest.mark.parametrize("failing", ["links", "shared", "."])
def test_a_partial_copy_is_completed(failing: str, source: Path, target: Path, settled: None) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    (source / "links/first").write_text("changed")
    (source / "shared/before").unlink()
    (source / "shared/further").mkdir()
    (source / "shared/further/file").write_text("x")
    (source / "zeros").rename(source / "links/zeros")
    subprocess.run(["chattr", "+a", target / failing], check=True)
    try:
        with suppress(LayerCopyFailed):  # while removing; what fails while copying is left to the last pass
            transfer.copy_live()
    finally:
        subprocess.run(["chattr", "-a", target / failing], check=True)
    transfer.finish()
    assert differences(source, target) == []


def test_what_could_not_be_made_is_made_by_the_next_pass(source: Path, target: Path, settled: None) -> None:
    for name in ("a", "b"):
        (source / name).mkdir()
        (source / name / "file").write_text(name)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    for name in ("a", "b"):
        (source / name / "tree").mkdir()
        (source / name / "tree/file").write_text("new")
    subprocess.run(["chattr", "+i", target / "b"], check=True)
    try:
        transfer.copy_live()
    finally:
        subprocess.run(["chattr", "-i", target / "b"], check=True)
    assert (target / "a/tree/file").read_text() == "new" and not (target / "b/tree").exists()
    transfer.finish()
    assert differences(source, target) == []


def test_after_the_stop_only_the_source_is_looked_at(
    source: Path, target: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_everything(source)
    transfer = LAYERS.begin(str(source), str(target), untold)
    transfer.copy_live()
    listed: list[str] = []

    def recorded(fd: int) -> dict[str, os.stat_result]:
        listed.append(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 (of a link of the kernel's)
        return listing(fd)

    monkeypatch.setattr(delta, "listing", recorded)
    transfer.finish()
    assert str(source / "links") in listed
    assert [path for path in listed if path.startswith(str(target))] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place, image = tmp_path / "small", tmp_path / "image"
    place.mkdir()
    image.touch()
    os.truncate(image, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("step", ["copy_live", "settle", "finish"])
def test_a_full_disk_is_told_at_once(step: str, source: Path, small_disk: Path) -> None:
    (source / "big").write_bytes(os.urandom(20 << 20))
    transfer = LAYERS.begin(str(source), str(make_layer(small_disk, "new")), untold)
    with pytest.raises(Unavailable) as failure:
        getattr(transfer, step)()
    assert failure.value.part == "disk"


@pytest.mark.parametrize("live", [True, False])
def test_another_filesystem_gets_everything_too(live: bool, source: Path, small_disk: Path) -> None:
    make_everything(source)
    target = make_layer(small_disk, "new")
    transfer = LAYERS.begin(str(source), str(target), untold)
    if live:
        transfer.copy_live()
    transfer.finish()
    assert differences(source, target) == []


def test_a_filesystem_without_xattrs_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "file").write_text("x")
    os.setxattr(source / "file", "user.lost", b"1")
    place = tmp_path / "plain"
    place.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", place], check=True)
    try:
        target = make_layer(place, "new")
        with pytest.raises(LayerCopyFailed):
            LAYERS.begin(str(source), str(target), untold).finish()
    finally:
        subprocess.run(["umount", place], check=True)


def test_on_a_filesystem_without_stamps_for_mapped_stores_the_last_pass_copies_all(tmp_path: Path) -> None:
    place = tmp_path / "memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=True)
    try:
        source, target = make_layer(place, "old"), make_layer(place, "new")
        (source / "file").write_bytes(bytes(8192))
        transfer = LAYERS.begin(str(source), str(target), untold)
        transfer.copy_live()
        assert list(target.iterdir()) == []
        transfer.finish()
        assert differences(source, target) == []
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("bad", ["", "relative/overlay2/x/diff", "/", "/etc", "{root}/overlay2/none/diff"])
def test_paths_that_are_no_layers_are_refused(bad: str, source: Path, target: Path, tmp_path: Path) -> None:
    path = bad.format(root=tmp_path)
    for arguments in ((path, str(target)), (str(source), path)):
        with pytest.raises(LayerCopyFailed):
            LAYERS.begin(*arguments, untold)
    assert (target / "mnt/made by docker").read_text() == "for a bind"


def test_one_layer_inside_the_other_or_itself_is_refused(source: Path, target: Path, tmp_path: Path) -> None:
    inner = make_layer(source, "inner")
    (tmp_path / "overlay2/file").mkdir()
    (tmp_path / "overlay2/file/diff").write_text("no directory")
    (tmp_path / "overlay2/link").mkdir()
    (tmp_path / "overlay2/link/diff").symlink_to(target)
    dotted = f"{tmp_path}/overlay2/../overlay2/new/diff"
    wrong = [(source, source), (source, inner), (inner, source), (source, dotted)]
    wrong += [(source, tmp_path / f"overlay2/{name}/diff") for name in ("file", "link")]
    for old, new in wrong:
        with pytest.raises(LayerCopyFailed):
            LAYERS.begin(str(old), str(new), untold)


def test_a_layer_set_aside_can_be_carried_back(source: Path, target: Path, tmp_path: Path) -> None:
    make_everything(source)
    twin = tmp_path / "twin"
    subprocess.run(["cp", "-a", source, twin], check=True)
    mode = source.stat().st_mode
    aside = LAYERS.set_aside(str(source), "family-1")
    assert aside == f"{tmp_path}/gpudock/layers/family-1"
    assert differences(twin, Path(aside)) == []
    assert list(source.iterdir()) == [] and source.stat().st_mode == mode
    LAYERS.begin(aside, str(target), untold).finish()
    assert differences(twin, target) == []


def test_set_aside_may_be_repeated_but_never_replaces_another(source: Path, target: Path) -> None:
    (source / "file").write_text("mine")
    aside = LAYERS.set_aside(str(source), "family-1")
    assert LAYERS.set_aside(str(source), "family-1") == aside
    source.rmdir()
    assert LAYERS.set_aside(str(source), "family-1") == aside
    assert source.is_dir()
    with pytest.raises(LayerCopyFailed):
        LAYERS.set_aside(str(target), "family-1")
    assert Path(aside, "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "..", "a/b", "."])
def test_set_aside_refuses_names_that_lead_elsewhere(name: str, source: Path) -> None:
    with pytest.raises(LayerCopyFailed):
        LAYERS.set_aside(str(source), name)
    assert source.is_dir()


def test_discard_deletes_only_what_was_set_aside(source: Path, target: Path, tmp_path: Path) -> None:
    make_everything(source)
    aside = LAYERS.set_aside(str(source), "family-1")
    for wrong in (str(target), "/", "", f"{aside}/links", f"{tmp_path}/gpudock/layers", f"{aside}/../../../overlay2"):
        with pytest.raises(LayerCopyFailed):
            LAYERS.discard(wrong)
    assert Path(aside, "links/first").exists() and target.is_dir()
    LAYERS.discard(aside)
    assert not Path(aside).exists()
    LAYERS.discard(aside)


def test_a_layer_is_measured_as_its_disk_has_it(source: Path) -> None:
    make_everything(source)
    said = subprocess.run(["du", "-s", "--block-size=1", source], capture_output=True, check=True).stdout
    found = {path.lstat().st_ino for path in source.rglob("*")}
    assert LAYERS.measure(str(source)) == (int(said.split()[0]) - source.stat().st_blocks * 512, len(found))
    measured = LAYERS.measure(str(source))
    assert LAYERS.measure(LAYERS.set_aside(str(source), "family-1")) == measured
    assert LAYERS.measure(str(source)) == (0, 0)


@pytest.mark.parametrize("bad", ["", "/", "/etc", "{root}", "{root}/overlay2/none/diff", "{root}/overlay2/link/diff"])
def test_only_layers_are_measured(bad: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "overlay2/link").mkdir()
    (tmp_path / "overlay2/link/diff").symlink_to(source)
    with pytest.raises(LayerCopyFailed):
        LAYERS.measure(bad.format(root=tmp_path))


def test_sync_needs_a_directory(source: Path, tmp_path: Path) -> None:
    LAYERS.sync(str(source))
    with pytest.raises(LayerCopyFailed):
        LAYERS.sync(str(tmp_path / "none"))


def test_the_copy_ends_with_the_process_that_began_it(source: Path, target: Path) -> None:
    for number in range(20_000):
        (source / f"f{number}").touch()
    program = (
        "from tests.support.layers import LAYERS; from tests.support.trees import untold; "
        f"LAYERS.begin({str(source)!r}, {str(target)!r}, untold).finish()"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as copier:
        deadline = time.monotonic() + 60
        while sum(1 for _ in target.iterdir()) < 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        copier.kill()
    time.sleep(0.1)
    count = sum(1 for _ in target.iterdir())
    time.sleep(0.3)
    assert 100 <= count == sum(1 for _ in target.iterdir()) < 20_000
