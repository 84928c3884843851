"""Docker's `local` driver on XFS with project quotas: the facts that gpudock builds upon, without gpudock."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.volumes import remove_everything

MB = 1 << 20


@pytest.fixture
def docker(dockerd: Dockerd, image: str) -> Iterator[Dockerd]:
    """The daemon with an image; what the test made is removed."""
    yield dockerd
    remove_everything(dockerd)


def capacity(docker: Dockerd, volume: str) -> int:
    """What the filesystem says that the volume's directory can hold."""
    status = os.statvfs(Path(docker.docker("volume", "inspect", volume, "--format", "{{.Mountpoint}}")))
    return status.f_blocks * status.f_frsize


def mount(docker: Dockerd, volume: str) -> None:
    docker.docker("run", "--rm", "-v", f"{volume}:/v", IMAGE, "true")


def test_the_quota_is_there_from_the_first_mount_on(docker: Dockerd) -> None:
    docker.docker("volume", "create", "--opt", "size=20MB", "first")
    (seen,) = json.loads(docker.docker("volume", "inspect", "first"))
    assert (seen["Driver"], seen["Options"]) == ("local", {"size": "20MB"})
    assert capacity(docker, "first") > 1000 * MB
    mount(docker, "first")
    assert capacity(docker, "first") == 20 * MB


def test_a_name_in_use_is_handed_out_without_a_quota(docker: Dockerd) -> None:
    docker.docker("volume", "create", "taken")
    docker.docker("volume", "create", "--opt", "size=20MB", "taken")
    mount(docker, "taken")
    assert capacity(docker, "taken") > 1000 * MB


def test_a_name_that_had_a_quota_once_gets_none_until_docker_restarts(docker: Dockerd) -> None:
    docker.docker("volume", "create", "--opt", "size=20MB", "again")
    mount(docker, "again")
    docker.docker("volume", "rm", "again")
    docker.docker("volume", "create", "--opt", "size=20MB", "again")
    mount(docker, "again")
    assert capacity(docker, "again") > 1000 * MB
    docker.restart()
    mount(docker, "again")
    assert capacity(docker, "again") == 20 * MB
