"""Volumes in the way `quota`: gpudock on a Docker that enforces sizes by XFS project quotas."""

import fcntl
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.docker.client import Clients
from app.adapters.treecopy.files import opened
from app.adapters.volumes.project_quota import project_id
from app.adapters.volumes.sized import SizedVolumes
from app.errors import Unavailable, VolumeCreateFailed, VolumeInUse
from app.model.container import Labels
from app.model.sizes import parse_size
from app.model.volume import Usage, VolumePlan
from tests.support.dockerd import NODE, Dockerd
from tests.support.images import IMAGE
from tests.support.trees import differences, make_everything, untold
from tests.support.volumes import home, remove_everything, wait_for

MB = 1 << 20


@pytest.fixture
def volumes(dockerd: Dockerd, image: str) -> Iterator[SizedVolumes]:
    yield SizedVolumes(Clients(dockerd.url), NODE, "quota")
    remove_everything(dockerd)


def plan(size: str, version: int = 0) -> VolumePlan:
    return VolumePlan(Labels(NODE, "vol", version, f"op{version}"), parse_size(size))


def in_container(dockerd: Dockerd, script: str, volume: str = "vol-0") -> str:
    return dockerd.docker("run", "--rm", "-v", f"{volume}:/v", IMAGE, "sh", "-c", script)


def projects(path: Path) -> set[int]:
    """The project ids of everything below a directory that can have one set."""
    return {
        _project(os.path.join(top, name))  # noqa: PTH118 (names that are no text)
        for top, directories, files in os.walk(path)
        for name in (*directories, *files)
    } - {None}


def _project(path: str) -> int | None:
    if not stat.S_ISREG(mode := os.lstat(path).st_mode) and not stat.S_ISDIR(mode):
        return None
    with opened(os.open(path, os.O_RDONLY)) as fd:
        return int.from_bytes(fcntl.ioctl(fd, 0x801C581F, bytes(28))[12:16], sys.byteorder)


def test_auto_takes_quotas_where_they_work_and_leaves_nothing(dockerd: Dockerd, volumes: SizedVolumes) -> None:
    images = sorted(dockerd.docker("images", "-aq").split())
    assert SizedVolumes(Clients(dockerd.url), NODE, "auto").driver() == "quota"
    assert dockerd.docker("volume", "ls", "-q") + dockerd.docker("ps", "-aq") == ""
    assert sorted(dockerd.docker("images", "-aq").split()) == images


def test_the_size_is_dockers_option_and_holds(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    (seen,) = json.loads(dockerd.docker("volume", "inspect", "vol-0"))
    assert (seen["Driver"], seen["Options"]) == ("local", {"size": "20MB"})
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert (usage.capacity, usage.used, usage.files) == (20 * MB, 0, 0)
    said = in_container(dockerd, "dd if=/dev/zero of=/v/f bs=64k 2>&1; stat -c %s /v/f")
    assert "No space left on device" in said
    assert 0.95 * 20 * MB <= int(said.splitlines()[-1]) <= 20 * MB
    volumes.sync(volumes.data_path("vol-0"))
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert usage.used is not None
    assert usage.used > 19 * MB
    assert usage.files == 1
    assert volumes.measure(volumes.data_path("vol-0")) == (usage.used, 1)


@pytest.mark.parametrize("size", ["4KB", "1.5MB", "0.1GB", "900TB"])
def test_any_size_is_met(volumes: SizedVolumes, size: str) -> None:
    volumes.create(plan(size))
    usage = volumes.usage("vol-0")
    assert usage is not None
    assert (usage.used, usage.files) == (0, 0)
    assert usage.capacity is not None
    assert abs(usage.capacity - min(parse_size(size).bytes, volumes.free_bytes())) < MB


def test_a_volume_without_a_limit_is_not_believed(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    labels = {"node": NODE, "family": "vol", "version": "0", "operation": "op0", "way": "quota", "size": str(20 * MB)}
    options = [f"--label=gpudock.{label}={value}" for label, value in labels.items()]
    dockerd.docker("volume", "create", *options, "vol-0")
    with pytest.raises(VolumeCreateFailed, match="no limit"):
        volumes.create(plan("20MB"))


def test_a_name_that_comes_again_has_its_limit_before_and_after_dockers_next_start(
    volumes: SizedVolumes, dockerd: Dockerd
) -> None:
    for size in ("20MB", "30MB", "10MB"):
        volumes.create(plan(size))
        if size != "10MB":
            volumes.discard("vol-0")
    dd = "dd if=/dev/zero of=/v/f bs=64k 2>/dev/null; stat -c %s /v/f; rm /v/f"
    assert 9 * MB <= int(in_container(dockerd, dd)) <= 10 * MB
    dockerd.restart()
    volumes.create(plan("20MB", 1))
    assert 9 * MB <= int(in_container(dockerd, dd)) <= 10 * MB
    assert 19 * MB <= int(in_container(dockerd, dd, "vol-1")) <= 20 * MB


def test_every_kind_of_file_is_carried_and_what_does_not_fit_is_refused(volumes: SizedVolumes) -> None:
    for version, size in enumerate(("60MB", "90MB", "1MB")):
        volumes.create(plan(size, version))
    places = [volumes.data_path(f"vol-{version}") for version in range(3)]
    make_everything(Path(places[0]))
    volumes.begin(places[0], places[1], untold).finish()
    assert differences(Path(places[0]), Path(places[1])) == []
    (Path(places[0]) / "more").write_bytes(os.urandom(2 * MB))
    with pytest.raises(Unavailable):
        volumes.begin(places[0], places[2], untold).finish()


def test_what_is_set_aside_counts_for_no_project_any_more(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("60MB"))
    place = Path(volumes.data_path("vol-0"))
    make_everything(place)
    before = {path.relative_to(place): path.lstat().st_ino for path in place.rglob("*")}
    assert projects(place) == {project_id(place)}
    aside = Path(volumes.set_aside("vol-0", "quota"))
    assert {path.relative_to(aside): path.lstat().st_ino for path in aside.rglob("*")} == before
    assert (project_id(aside), projects(aside)) == (0, {0})
    assert stat.S_IMODE(aside.parent.stat().st_mode) == 0o700
    assert volumes.set_aside("vol-0", "quota") == str(aside)

    dockerd.restart()  # and Docker gives the number to the next one
    volumes.create(plan("90MB", 1))
    usage = volumes.usage("vol-1")
    assert usage is not None
    assert usage.used == 0
    volumes.begin(str(aside), volumes.data_path("vol-1"), untold).finish()
    assert differences(aside, Path(volumes.data_path("vol-1"))) == []
    volumes.discard_aside(str(aside))
    assert list(home(dockerd).iterdir()) == []


def test_a_stopped_container_keeps_an_empty_one(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.create(plan("20MB"))
    dockerd.docker("create", "-v", "vol-0:/v", IMAGE, "sh")
    (Path(volumes.data_path("vol-0")) / "large").write_bytes(bytes(MB))
    with pytest.raises(VolumeInUse):
        volumes.set_aside("vol-0", "quota")
    volumes.discard("vol-0")
    wait_for(lambda: volumes.usage("vol-0") == Usage(20 * MB, 0, 0))  # XFS deletes after the unlink
