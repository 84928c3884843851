"""Volumes that are filesystems of their own, on a real Docker: the size holds, and the data survive what happens."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.adapters.docker.client import Clients
from app.adapters.volumes import image_file, private_mount
from app.adapters.volumes.sized import SizedVolumes
from app.errors import Unavailable, VolumeCreateFailed, VolumeDeleteFailed, VolumeNotFound
from app.model.container import Labels
from app.model.sizes import parse_size
from app.model.volume import VolumePlan
from tests.support.dockerd import NODE, Dockerd
from tests.support.images import IMAGE, VOLUME_IMAGE
from tests.support.trees import differences, make_everything, untold
from tests.support.volumes import home, loop_devices, mounted, remove_everything, unmount_all, wait_for

MB = 1 << 20


@pytest.fixture
def volumes(dockerd: Dockerd, image: str) -> Iterator[SizedVolumes]:
    yield SizedVolumes(Clients(dockerd.url), NODE, "loop")
    remove_everything(dockerd)


def plan(size: str, version: int = 0) -> VolumePlan:
    return VolumePlan(Labels(NODE, "vol", version, f"op{version}"), parse_size(size))


def in_container(dockerd: Dockerd, script: str, volume: str = "vol-0") -> str:
    return dockerd.docker("run", "--rm", "-v", f"{volume}:/v", IMAGE, "sh", "-c", script)


def entries(dockerd: Dockerd) -> list[Path]:
    return list(home(dockerd).glob("*"))


@pytest.mark.parametrize("size", ["20MB", "300MB"])
def test_a_container_can_write_the_size_and_hardly_more(volumes: SizedVolumes, dockerd: Dockerd, size: str) -> None:
    wanted = plan(size)
    volumes.create(wanted)
    said = in_container(dockerd, "dd if=/dev/zero of=/v/f bs=64k 2>&1; stat -c %s /v/f")
    assert "No space left on device" in said
    written = int(said.splitlines()[-1])
    assert 0.95 * wanted.size.bytes <= written <= 1.02 * wanted.size.bytes
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert usage.used is not None
    assert written <= usage.used <= 1.02 * wanted.size.bytes


@pytest.mark.parametrize("size", ["4KB", "1.5MB", "127MB", "128MB", "1GB", "1TB"])
def test_any_size_is_met(volumes: SizedVolumes, dockerd: Dockerd, size: str) -> None:
    wanted = plan(size)
    volumes.create(wanted)
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert usage.capacity is not None
    assert wanted.size.bytes <= usage.capacity <= 1.01 * wanted.size.bytes + (256 << 10)
    assert (usage.used, usage.files) == (0, 0)
    assert in_container(dockerd, "echo kept >/v/f; cat /v/f") == "kept"
    (directory,) = entries(dockerd)
    assert (directory / "image").stat().st_blocks * 512 < 400 * MB, "an empty one takes next to nothing"


def test_a_size_beyond_the_largest_file_is_refused(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    with pytest.raises(VolumeCreateFailed, match="smaller size"):
        volumes.create(plan("900000TB"))
    assert entries(dockerd) == []


def test_many_small_files_fit(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("200MB"))
    script = "cd /v; k=$(printf %01024d 0); i=0; while [ $i -lt 20000 ]; do echo $k >f$i || exit 1; i=$((i+1)); done"
    in_container(dockerd, script)
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert usage.files == 20_000


def test_what_is_deleted_inside_is_given_back_to_the_host(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("200MB"))
    (image,) = home(dockerd).glob("*/image")
    in_container(dockerd, "dd if=/dev/urandom of=/v/f bs=1M count=100 2>/dev/null; sync")
    assert image.stat().st_blocks * 512 > 100 * MB
    in_container(dockerd, "rm /v/f")
    volumes.sync(volumes.data_path("vol-0"))
    wait_for(lambda: image.stat().st_blocks * 512 < 40 * MB)


def test_it_begins_as_dockers_own_do(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    place = Path(volumes.data_path("vol-0"))
    status = place.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, 0o755)
    dockerd.docker("create", "-v", "vol-0:/data", VOLUME_IMAGE, "sh")
    assert (place / "shipped").read_text() == "with the image\n"


def test_every_kind_of_file_is_carried(volumes: SizedVolumes) -> None:
    for version, size in enumerate(("40MB", "60MB")):
        volumes.create(plan(size, version))
    old, new = volumes.data_path("vol-0"), volumes.data_path("vol-1")
    make_everything(Path(old))
    volumes.begin(old, new, untold).finish()
    assert differences(Path(old), Path(new)) == []


def test_after_a_reboot_nothing_starts_before_it_is_ready(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    script = "cat /v/f || echo first >/v/f; exec sleep 600"
    dockerd.docker("run", "-d", "--name", "user", "-v", "vol-0:/v", IMAGE, "sh", "-c", script)
    wait_for((Path(volumes.data_path("vol-0")) / "f").exists)
    dockerd.docker("kill", "user")
    unmount_all(dockerd)
    dockerd.restart()

    start = [*dockerd.command, "start", "user"]
    assert subprocess.run(start, capture_output=True, check=False).returncode != 0
    volumes.ensure_mounted(["vol-0"])
    subprocess.run(start, check=True)
    wait_for(lambda: "first" in dockerd.docker("logs", "user"))


def test_many_that_make_it_ready_mount_it_once(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    (mount,) = mounted(dockerd)
    make_ready = f"SizedVolumes(Clients({dockerd.url!r}), {NODE!r}, 'loop').ensure_mounted(['vol-0'])"
    imports = "from app.adapters.docker.client import Clients; from app.adapters.volumes.sized import SizedVolumes"
    code = f"{imports}; {make_ready}"
    for _ in range(2):
        unmount_all(dockerd)
        processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: volumes.ensure_mounted(["vol-0"]), range(16)))
        assert [process.wait(60) for process in processes] == [0] * 4
        assert mounted(dockerd) == [mount]
        assert len(loop_devices(dockerd)) == 1


def test_a_look_at_one_that_is_not_mounted_tells_the_same_and_leaves_nothing(
    volumes: SizedVolumes, dockerd: Dockerd
) -> None:
    volumes.create(plan("20MB"))
    place = volumes.data_path("vol-0")
    make_everything(Path(place))
    volumes.sync(place)

    def reports() -> list[object]:
        return [volumes.usage("vol-0"), volumes.measure(place), volumes.last_change(place), volumes.data_path("vol-0")]

    when_mounted, (image,) = reports(), home(dockerd).glob("*/image")
    unmount_all(dockerd)
    before = image.read_bytes(), image.stat().st_mtime_ns, image.parent.stat().st_mtime_ns
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: reports(), range(4))) == [when_mounted] * 4
    assert (mounted(dockerd), loop_devices(dockerd)) == ([], [])
    assert (image.read_bytes(), image.stat().st_mtime_ns, image.parent.stat().st_mtime_ns) == before
    volumes.ensure_mounted(["vol-0"])
    assert reports() == when_mounted


def test_no_filesystem_is_made_over_one_that_another_namespace_still_has(
    volumes: SizedVolumes, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmount, run, made = image_file.Image._unmount, image_file.run, threading.Event()
    in_use: list[str] = []

    def unmount_while_others_look(image: image_file.Image) -> None:
        if image.mount_point.is_mount():
            looking = threading.Event()
            look = lambda: (looking.set(), made.wait(60))  # noqa: E731
            threading.Thread(target=private_mount.isolated, args=(look,), daemon=True).start()
            assert looking.wait(60)
        unmount(image)

    def watched(*command: str, timeout: float) -> object:
        if command[0] == "mkfs.ext4":
            backing = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
            in_use.extend(name for name in backing if name == command[-1])
        return run(*command, timeout=timeout)

    monkeypatch.setattr(image_file.Image, "_unmount", unmount_while_others_look)
    monkeypatch.setattr(image_file, "run", watched)
    try:
        volumes.create(plan("20MB"))
    finally:
        made.set()
    assert in_use == []
    make_everything(Path(volumes.data_path("vol-0")))


def test_an_image_deleted_by_hand_is_a_volume_that_is_gone(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    (image,) = home(dockerd).glob("*/image")
    image.unlink()
    with pytest.raises(VolumeNotFound, match="image file"):
        volumes.ensure_mounted(["vol-0"])
    with pytest.raises(VolumeNotFound):
        volumes.data_path("vol-0")
    assert volumes.usage("vol-0") is None
    volumes.discard("vol-0")
    assert dockerd.docker("volume", "ls", "-q") == ""
    assert (entries(dockerd), mounted(dockerd)) == ([], [])


@contextmanager
def small_disk(dockerd: Dockerd) -> Iterator[Path]:
    """gpudock's home on a filesystem of 32 MB of its own."""
    image = dockerd.root / "small"
    with image.open("wb") as file:
        file.truncate(32 * MB)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    home(dockerd).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, home(dockerd)], check=True)
    try:
        yield home(dockerd)
    finally:
        subprocess.run(["umount", home(dockerd)], check=True)
        image.unlink()


def test_a_full_disk_is_told_and_leaves_nothing(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    with small_disk(dockerd) as disk:
        filler = disk / "lost+found/filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], check=False, capture_output=True)
        with pytest.raises(Unavailable) as refused:
            volumes.create(plan("20MB"))
        assert refused.value.part == "disk"
        assert [path.name for path in disk.iterdir()] == ["lost+found"]
        assert dockerd.docker("volume", "ls", "-q") == ""
        filler.unlink()
        volumes.create(plan("20MB"))
        volumes.discard("vol-0")


def test_a_creation_killed_at_any_moment_can_be_undone(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    code = (
        "from tests.integration.test_volumes_loop import *\n"
        f"volumes = SizedVolumes(Clients({dockerd.url!r}), NODE, 'loop'); volumes.free_bytes()\n"
        "print('begins', flush=True); volumes.create(plan('20MB')); print('made', flush=True)"
    )
    images = sorted(dockerd.docker("images", "-aq").split())
    for moment in range(12):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        with process, ThreadPoolExecutor(1) as pool:
            done = pool.submit(process.stdout.readline)
            try:
                done.result(moment * 0.04)
            except TimeoutError:
                os.killpg(process.pid, 9)
        # Docker may still be at work on what the dead process asked for last.
        deadline = time.monotonic() + 20
        while left := not_undone(volumes, dockerd, images):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def not_undone(volumes: SizedVolumes, dockerd: Dockerd, images: list[str]) -> list[object]:
    volumes.undo("op0")
    left: list[object] = [*entries(dockerd), *mounted(dockerd), *loop_devices(dockerd)]
    objects = [dockerd.docker("volume", "ls", "-q"), dockerd.docker("ps", "-aq")]
    now = dockerd.docker("images", "-aq").split()
    return [*left, *filter(None, objects), *(set(now) ^ set(images))]


def test_a_discard_that_broke_off_is_finished_and_takes_nothing_else(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    aside = volumes.set_aside("vol-0", "loop")
    volumes.create(VolumePlan(Labels(NODE, "vol", 0, "op9"), parse_size("20MB")))
    (home(dockerd) / "vol-0.op9/discarded").touch()
    dockerd.docker("volume", "rm", "vol-0")
    volumes.discard("vol-0")
    assert entries(dockerd) == [Path(aside)]
    assert volumes.set_aside("vol-0", "loop") == aside


def test_what_the_host_holds_open_is_not_deleted_halfway(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    place = Path(volumes.data_path("vol-0"))
    (place / "kept").write_text("x")
    with subprocess.Popen(["sleep", "600"], cwd=place) as holder:
        with pytest.raises(VolumeDeleteFailed):
            volumes.set_aside("vol-0", "loop")
        assert (place / "kept").read_text() == "x"
        holder.kill()
    assert volumes.measure(volumes.set_aside("vol-0", "loop"))[1] == 1


def test_a_volume_below_a_mount_that_came_later_is_mounted_again(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    """As after a start of Docker that mounted its root over itself."""
    volumes.create(plan("8MB"))
    Path(volumes.data_path("vol-0"), "file").write_text("kept")
    subprocess.run(["mount", "--bind", home(dockerd), home(dockerd)], check=True)
    try:
        assert volumes.measure(volumes.data_path("vol-0"))[1] == 1
        volumes.ensure_mounted(["vol-0"])
        assert Path(volumes.data_path("vol-0"), "file").read_text() == "kept"
        assert in_container(dockerd, "cat /v/file") == "kept"
    finally:
        subprocess.run(["umount", "--recursive", home(dockerd)], check=True)
