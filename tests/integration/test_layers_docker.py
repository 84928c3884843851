"""Layers as a real Docker engine makes and mounts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.layers import LAYERS
from tests.support.trees import untold

CHANGE = """
rm /data/shipped && rm -r /root && mkdir /root && echo new >/root/new && mv /etc/group /etc/moved
ln /etc/moved /tmp/linked; mkfifo /tmp/fifo; chmod 4755 /etc/passwd; mkdir /srv; echo x >'/srv/a
b'
"""
LOOK = "ls -lAR --full-time /data /root /etc /tmp /srv | grep -vE 'mtab|hostname|resolv.conf|hosts'; cat /root/new"


@pytest.fixture(autouse=True)
def no_containers_left(dockerd: Dockerd) -> Iterator[None]:
    yield
    dockerd.remove_containers()


def upper(dockerd: Dockerd, name: str) -> str:
    return dockerd.docker("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", name)


def test_a_carried_layer_looks_the_same_in_the_next_container(dockerd: Dockerd, image: str) -> None:
    dockerd.docker("run", "-d", "--name", "old", image, "sleep", "600")
    dockerd.docker("exec", "old", "sh", "-c", CHANGE)
    dockerd.docker("create", "--name", "new", "-v", "/var/tmp:/mnt/deep:ro", image, "sleep", "600")
    transfer = LAYERS.begin(upper(dockerd, "old"), upper(dockerd, "new"), untold)
    transfer.copy_live()
    dockerd.docker("exec", "old", "sh", "-c", "rm /tmp/linked; echo later >/srv/later")
    seen = dockerd.docker("exec", "old", "sh", "-c", LOOK)
    dockerd.docker("kill", "old")
    transfer.finish()
    LAYERS.sync(upper(dockerd, "new"))
    dockerd.docker("start", "new")
    assert dockerd.docker("exec", "new", "sh", "-c", LOOK) == seen
    assert "shipped" not in seen and "later" in seen
    assert dockerd.docker("exec", "new", "ls", "/mnt/deep")


def test_a_container_whose_layer_was_set_aside_can_be_removed_and_its_files_live_on(
    dockerd: Dockerd, image: str
) -> None:
    dockerd.docker("run", "--name", "old", image, "sh", "-c", "echo kept >/kept; rm /data/shipped")
    layer = upper(dockerd, "old")
    aside = LAYERS.set_aside(layer, "old-1")
    assert Path(aside, "kept").read_text() == "kept\n"
    dockerd.docker("rm", "old")
    assert not Path(layer).parent.exists()
    dockerd.docker("create", "--name", "again", image, "sh", "-c", "cat /kept; ls /data")
    LAYERS.begin(aside, upper(dockerd, "again"), untold).finish()
    assert dockerd.docker("start", "-a", "again") == "kept"
    LAYERS.discard(aside)
    assert not Path(aside).exists()
