"""Which way volumes are made on a real Docker, and that each volume keeps to its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.docker.client import Clients
from app.adapters.volumes.drivers import DRIVERS
from app.adapters.volumes.quota import QuotaDriver
from app.adapters.volumes.sized import SizedVolumes
from app.errors import Unavailable, VolumeCreateFailed, VolumeDeleteFailed
from app.model.container import Labels
from app.model.sizes import parse_size
from app.model.volume import Usage, VolumePlan
from tests.support.dockerd import NODE, Dockerd
from tests.support.volumes import home, mounted, remove_everything


@pytest.fixture
def docker(dockerd: Dockerd, image: str) -> Iterator[Dockerd]:
    yield dockerd
    remove_everything(dockerd)


@pytest.fixture
def best(docker: Dockerd) -> str:
    """The best way that works on this disk."""
    command = [*docker.command, "volume", "create", "--opt", "size=1MB", "asked"]
    done = subprocess.run(command, capture_output=True, check=False)
    docker.docker("volume", "rm", "-f", "asked")
    return "quota" if done.returncode == 0 else "loop"


def plan(version: int = 0, node: str = NODE) -> VolumePlan:
    return VolumePlan(Labels(node, "vol", version, f"op{version}"), parse_size("8MB"))


def test_auto_takes_the_best_way_that_works_and_leaves_nothing(docker: Dockerd, best: str) -> None:
    images = sorted(docker.docker("images", "-aq").split())
    assert SizedVolumes(Clients(docker.url), NODE, "auto").driver() == best
    assert docker.docker("volume", "ls", "-q") + docker.docker("ps", "-aq") == ""
    assert sorted(docker.docker("images", "-aq").split()) == images
    assert (list(home(docker).iterdir()), mounted(docker)) == ([], [])


def test_auto_concludes_nothing_while_docker_is_down(docker: Dockerd, best: str, tmp_path: Path) -> None:
    volumes = SizedVolumes(Clients(f"unix://{tmp_path}/sock"), NODE, "auto")
    for _ in range(2):
        with pytest.raises(Unavailable):
            volumes.driver()
    (tmp_path / "sock").symlink_to(docker.root / "sock")
    assert volumes.driver() == best


def test_auto_falls_back_to_no_limit_where_nothing_can_be_mounted(
    docker: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mkfs.ext4").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setitem(DRIVERS, "quota", _Refusing)
    volumes = SizedVolumes(Clients(docker.url), NODE, "auto")
    assert volumes.driver() == "none"
    volumes.create(plan())
    assert volumes.usage("vol-0") == Usage()


class _Refusing(QuotaDriver):
    """Stands for a filesystem without quotas, also on a host that has them."""

    def create(self, plan: VolumePlan) -> None:
        raise VolumeCreateFailed(f"no quota for {plan.name}")


def test_leftovers_of_a_dead_trial_are_removed_by_the_next_one(docker: Dockerd, best: str) -> None:
    left = VolumePlan(Labels(NODE, "gpudock.trial.00000000", 0, "trial"), parse_size("1MB"))
    SizedVolumes(Clients(docker.url), NODE, "loop").create(left)
    assert SizedVolumes(Clients(docker.url), NODE, "auto").driver() == best
    assert docker.docker("volume", "ls", "-q") == ""
    assert (list(home(docker).iterdir()), mounted(docker)) == ([], [])


def test_quotas_that_docker_refuses_are_told_with_what_to_do(docker: Dockerd, best: str) -> None:
    volumes = SizedVolumes(Clients(docker.url), NODE, "quota")
    if best == "quota":
        volumes.create(plan())
        return
    with pytest.raises(VolumeCreateFailed, match="GPUDOCK_VOLUMES=quota needs XFS"):
        volumes.create(plan())
    assert docker.docker("volume", "ls", "-q") == ""


def test_a_volume_keeps_to_its_way_when_the_setting_changes(docker: Dockerd) -> None:
    SizedVolumes(Clients(docker.url), NODE, "loop").create(plan(0))
    SizedVolumes(Clients(docker.url), NODE, "none").create(plan(1))
    for setting in ("quota", "none", "loop"):
        volumes = SizedVolumes(Clients(docker.url), NODE, setting)
        assert volumes.usage("vol-0") != Usage()
        assert volumes.usage("vol-1") == Usage()
    volumes.discard("vol-0")
    volumes.discard("vol-1")
    assert (list(home(docker).iterdir()), mounted(docker)) == ([], [])


def test_volumes_of_another_node_are_not_touched(docker: Dockerd) -> None:
    SizedVolumes(Clients(docker.url), "elsewhere", "none").create(plan(node="elsewhere"))
    volumes = SizedVolumes(Clients(docker.url), NODE, "none")
    volumes.undo("op0")
    for act in (volumes.discard, lambda name: volumes.set_aside(name, "none")):
        with pytest.raises(VolumeDeleteFailed):
            act("vol-0")
    assert volumes.names("vol") == []
    assert docker.docker("volume", "ls", "-q") == "vol-0"
