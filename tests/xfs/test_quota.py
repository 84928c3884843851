"""Limits of volumes across Docker's restarts, adoption, copies and data set aside, on a real Docker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.docker.client import Clients
from app.adapters.docker.labels import write_volume
from app.adapters.volumes.project_quota import project_id
from app.adapters.volumes.sized import SizedVolumes
from app.errors import VolumeExists
from app.model.container import Labels
from app.model.sizes import parse_size
from app.model.volume import QUOTA, Usage, VolumePlan
from tests.support.dockerd import NODE, Dockerd
from tests.support.images import IMAGE
from tests.support.trees import describe, differences, make_everything
from tests.support.volumes import remove_everything

MB = 1 << 20


@pytest.fixture
def volumes(dockerd: Dockerd, image: str) -> Iterator[SizedVolumes]:
    """The adapter with the setting of most hosts; what the test made is removed."""
    yield SizedVolumes(Clients(dockerd.url), NODE, "auto")
    remove_everything(dockerd)


def plan(family: str, size: str) -> VolumePlan:
    return VolumePlan(Labels(NODE, family, 0, f"op{family}"), parse_size(size))


def make(volumes: SizedVolumes, family: str, size: str) -> Path:
    """Create version 0 of a family; its directory."""
    volumes.create(plan(family, size))
    return Path(volumes.data_path(f"{family}-0"))


def carry(volumes: SizedVolumes, source: Path | str, target: Path) -> None:
    volumes.begin(str(source), str(target), lambda _done, _total: None).finish()
    volumes.sync(str(target))


def filled(dockerd: Dockerd, volume: str) -> int:
    """How many bytes a container can write into the volume until it is told that there is no space left."""
    script = "dd if=/dev/zero of=/v/all bs=64k 2>&1; stat -c %s /v/all"
    *said, size = dockerd.docker("run", "--rm", "-v", f"{volume}:/v", IMAGE, "sh", "-c", script).splitlines()
    assert "No space left on device" in " ".join(said)
    return int(size)


def usage(volumes: SizedVolumes, volume: str) -> Usage:
    found = volumes.usage(volume)
    assert found is not None
    return found


def test_each_volume_has_its_own_limit(volumes: SizedVolumes) -> None:
    first, second = make(volumes, "first", "20MB"), make(volumes, "second", "30MB")
    (first / "x").write_bytes(bytes(15 * MB))
    (second / "x").write_bytes(bytes(25 * MB))
    assert (usage(volumes, "first-0").capacity, usage(volumes, "second-0").capacity) == (20 * MB, 30 * MB)
    with pytest.raises(OSError, match="No space left"):
        (second / "y").write_bytes(bytes(6 * MB))


def test_the_limit_is_there_when_docker_comes_back(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    (make(volumes, "back", "20MB") / "x").write_bytes(bytes(5 * MB))
    dockerd.restart()
    assert 14 * MB <= filled(dockerd, "back-0") <= 15 * MB


def test_one_that_was_never_mounted_is_adopted_with_its_limit(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    # What a process leaves that dies right after Docker made the volume.
    wanted = plan("adopted", "20MB")
    labels = write_volume(wanted.labels, QUOTA, wanted.size.bytes).items()
    options = ["--opt=size=20MB", *(f"--label={key}={value}" for key, value in labels)]
    dockerd.docker("volume", "create", *options, wanted.name)
    volumes.create(wanted)
    assert 0.95 * 20 * MB <= filled(dockerd, wanted.name) <= 20 * MB


def test_a_name_of_somebody_else_is_refused_though_it_has_a_limit(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    dockerd.docker("volume", "create", "--opt=size=20MB", "foreign-0")
    with pytest.raises(VolumeExists):
        volumes.create(plan("foreign", "20MB"))
    assert dockerd.docker("volume", "ls", "-q") == "foreign-0"


def test_what_is_carried_counts_for_the_new_one(volumes: SizedVolumes) -> None:
    old = make(volumes, "old", "40MB")
    make_everything(old)
    for family, size in (("larger", "60MB"), ("smaller", "15MB")):
        new = make(volumes, family, size)
        carry(volumes, old, new)
        assert differences(old, new) == []
        assert project_id(new / "links") == project_id(new) != project_id(old)
        now = usage(volumes, f"{family}-0")
        assert now.capacity == parse_size(size).bytes
        assert now.files == usage(volumes, "old-0").files
        assert now.used is not None
        assert now.used > MB


def test_data_set_aside_is_whole_and_counts_for_nobody(volumes: SizedVolumes, dockerd: Dockerd) -> None:
    volumes.driver()  # its trial takes a number too
    dockerd.restart()  # Docker counts anew, from the highest number that its volumes have
    place = make(volumes, "aside", "20MB")
    make_everything(place)
    (place / "x").write_bytes(bytes(10 * MB))
    before = describe(place)
    number = project_id(place)
    aside = Path(volumes.set_aside("aside-0", "quota"))
    assert describe(aside) == before
    assert project_id(aside) == project_id(aside / "links") == 0
    dockerd.restart()
    new = make(volumes, "heir", "20MB")
    assert project_id(new) == number
    # Links, devices and the like cannot be opened and keep the number; they take no room.
    assert usage(volumes, "heir-0").used == 0
    carry(volumes, aside, new)
    assert differences(aside, new) == []
    volumes.discard_aside(str(aside))
    assert not aside.exists()
