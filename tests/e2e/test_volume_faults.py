"""Volumes when something breaks: killed workers, a full disk, a reboot, parts that are down."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_operations import ASYNC, hold_copy, operation
from tests.e2e.test_volumes import ERASE, MB, data_of, make, refused, shown, site, wait_for
from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import Server
from tests.support.volumes import home, unmount_all

__all__ = ["site"]


def homes(dockerd: Dockerd) -> list[str]:
    """The volumes that have a directory of their own, complete or not."""
    return sorted(path.name.partition(".")[0] for path in home(dockerd).iterdir())


def test_killed_workers_leave_the_old_volume_and_nothing_of_the_new_one(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "3GB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/vol"}])
    site.sh("foo", "dd if=/dev/urandom of=/vol/big bs=1M count=1000")
    site.data("PATCH", "/containers/foo/stop")
    answer = site.call("PATCH", "/volumes/vol-0/size", {"size": "4GB"}, headers=ASYNC)
    hold_copy(dockerd)
    site.kill_workers()
    wait_for(lambda: site.call("GET", "/healthz").ok)
    ended = wait_for(lambda: (now := operation(site, answer))["state"] != "running" and now)
    assert (ended["state"], ended["error"]) == ("undone", "its process died")
    # The workers that took over try out, with a volume of their own, how sizes are enforced here.
    wait_for(lambda: dockerd.docker("volume", "ls", "-q") == "vol-0" and homes(dockerd) == ["vol-0"])
    assert site.data("PATCH", "/volumes/vol-0/size", {"size": "4GB"})["name"] == "vol-1"
    assert data_of(dockerd, "vol-1").joinpath("big").stat().st_size == 1000 * MB


def test_after_a_reboot_containers_find_their_volumes(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "20MB")
    site.create("plain", binds=[{"src": "vol-0", "dest": "/vol"}])
    site.create("gpus", gpuCount=1, binds=[{"src": "vol-0", "dest": "/vol"}])
    site.sh("plain", "echo kept >/vol/x; sync")
    for name in ("plain", "gpus"):
        site.data("PATCH", f"/containers/{name}/stop")
    unmount_all(dockerd)
    failed = subprocess.run([*dockerd.command, "start", "plain-0"], capture_output=True, check=False)
    assert failed.returncode, "it must not run on a directory that is not the volume"
    for name in ("plain", "gpus"):
        site.data("PATCH", f"/containers/{name}/restart")
        assert site.sh(name, "cat /vol/x") == "kept\n"


def test_workers_that_start_mount_what_a_reboot_unmounted(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "20MB")
    (data_of(dockerd, "vol-0") / "x").write_text("kept")
    unmount_all(dockerd)
    site.kill_workers()
    wait_for((data_of(dockerd, "vol-0") / "x").exists)


@pytest.mark.parametrize(("part", "out", "back"), [("docker", "kill", "start"), ("etcd", "kill", "start")])
def test_parts_that_are_down_are_named_and_nothing_is_changed(
    site: Server, dockerd: Dockerd, etcd_server: EtcdServer, part: str, out: str, back: str
) -> None:
    make(site, "vol", "20MB")
    server = dockerd if part == "docker" else etcd_server
    getattr(server, out)()
    try:
        for method, path, body in (
            ("POST", "/volumes", {"name": "late", "size": "1MB"}),
            ("PATCH", "/volumes/vol-0/size", {"size": "30MB"}),
            ("DELETE", "/volumes/vol-0", ERASE),
        ):
            answer = site.call(method, path, body)
            assert refused(answer) == (503, 2040) and answer.json()["data"] == {"part": part}, answer.text
    finally:
        getattr(server, back)()
    wait_for(lambda: site.call("GET", "/readyz").ok)
    wait_for(lambda: site.data("GET", "/operations?state=running")["operations"] == [])
    assert site.data("PATCH", "/volumes/vol-0/size", {"size": "30MB"})["name"] == "vol-1"


@pytest.fixture
def small(etcd_server: EtcdServer) -> Iterator[tuple[Server, Dockerd, Path]]:
    """A gpudock whose Docker has a disk of its own, with 700 MB."""
    root = Path(tempfile.mkdtemp(prefix="gpudock-small-", dir="/var/tmp"))
    disk, mount = root / "disk", root / "mount"
    mount.mkdir()
    with disk.open("wb") as file:
        file.truncate(700 * MB)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
    dockerd = Dockerd(mount / "docker")
    dockerd.root.mkdir()
    dockerd.bridge = f"{dockerd.bridge}s"
    dockerd.start()
    images.build(dockerd.command)
    server = Server(dockerd, etcd_server, {"GPUDOCK_PREFIX": "/small"})
    server.start()
    yield server, dockerd, mount
    server.stop()
    dockerd.stop()
    subprocess.run(["umount", mount], check=True)
    disk.unlink()
    mount.rmdir()
    root.rmdir()


def fill(mount: Path, leave: int) -> None:
    """Take all of a disk's room but `leave` bytes, at once."""
    status = os.statvfs(mount)
    with (mount / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave)


def test_a_full_disk_loses_nothing(small: tuple[Server, Dockerd, Path]) -> None:
    api, dockerd, mount = small
    make(api, "vol", "300MB")
    content = os.urandom(150 * MB)
    (data_of(dockerd, "vol-0") / "x").write_bytes(content)
    subprocess.run(["sync", "-f", data_of(dockerd, "vol-0")], check=True)

    fill(mount, leave=100 * MB)
    answer = api.call("PATCH", "/volumes/vol-0/size", {"size": "200MB"})
    assert refused(answer) == (503, 2040) and answer.json()["data"] == {"part": "disk"}, answer.text
    assert homes(dockerd) == ["vol-0"] and api.data("GET", "/operations")["operations"][0]["kind"] == "create"
    (mount / "filler").unlink()

    answer = api.call("PATCH", "/volumes/vol-0/size", {"size": "200MB"}, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    fill(mount, leave=30 * MB)
    ended = wait_for(lambda: (now := operation(api, answer))["state"] != "running" and now, 60)
    assert ended["state"] == "undone", ended
    assert homes(dockerd) == ["vol-0"] and dockerd.docker("volume", "ls", "-q") == "vol-0"
    (mount / "filler").unlink()
    assert shown(api, "vol")["name"] == "vol-0"
    assert api.data("PATCH", "/volumes/vol-0/size", {"size": "200MB"})["name"] == "vol-1"
    assert (data_of(dockerd, "vol-1") / "x").read_bytes() == content
    api.data("DELETE", "/volumes/vol-1", ERASE)
    api.data("DELETE", "/volumes/vol-0", ERASE)
