"""Each volume is handled by the driver that made it, whatever it looks like on disk; drivers stand in one registry."""

from pathlib import Path

import pytest

from app.adapters.volumes.drivers import DRIVERS
from app.adapters.volumes.plain import PlainDriver
from app.adapters.volumes.sized import SizedVolumes
from app.config import ConfigError, load
from app.errors import VolumeDriverUnknown, VolumeNotFound
from app.model import volume
from app.model.volume import Usage
from app.ports import VolumeDetails
from app.web.pages.words import driver_words
from tests.support.docker_api import FakeApi
from tests.support.dockerd import NODE


@pytest.fixture
def api(tmp_path: Path) -> FakeApi:
    return FakeApi(tmp_path)


@pytest.fixture
def volumes(api: FakeApi) -> SizedVolumes:
    return SizedVolumes(api, NODE, "none")  # type: ignore[arg-type]


def test_the_registry_has_what_settings_accept_and_pages_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(DRIVERS) == volume.DRIVERS
    for name, driver in DRIVERS.items():
        assert driver.name == name  # type: ignore[attr-defined]
        assert driver_words(name) != name
        monkeypatch.setenv("GPUDOCK_VOLUMES", name)
        assert load().volumes == name
    monkeypatch.setenv("GPUDOCK_VOLUMES", "zfs")
    with pytest.raises(ConfigError):
        load()


def test_one_made_as_loop_is_never_taken_for_a_plain_one(api: FakeApi, volumes: SizedVolumes) -> None:
    (api.add_volume("vol-0", "loop") / "file").write_text("written past the filesystem that is not there")
    for use in (volumes.data_path, lambda name: volumes.ensure_mounted([name])):
        with pytest.raises(VolumeNotFound):
            use("vol-0")
    assert volumes.usages() == {}


def test_one_made_without_a_limit_is_never_taken_for_an_image(api: FakeApi, volumes: SizedVolumes) -> None:
    mountpoint = api.add_volume("vol-0", "none")
    image = api.root / "gpudock/volumes/vol-0.op0/image"
    image.parent.mkdir(parents=True)
    image.write_bytes(bytes(4096))
    assert volumes.data_path("vol-0") == str(mountpoint)
    assert volumes.usage("vol-0") == Usage()


def test_what_was_set_aside_before_is_found_by_the_driver_on_record(api: FakeApi, volumes: SizedVolumes) -> None:
    (api.add_volume("vol-0", "none") / "file").write_text("kept")
    place = volumes.set_aside("vol-0", "none")
    assert "vol-0" not in api.volumes_ and (Path(place) / "file").read_text() == "kept"
    assert volumes.set_aside("vol-0", "none") == place
    with pytest.raises(VolumeNotFound):
        volumes.set_aside("vol-0", "loop")
    with pytest.raises(VolumeDriverUnknown):
        volumes.set_aside("vol-0", "zfs")


def test_an_unknown_driver_is_told_for_that_volume_alone(api: FakeApi, volumes: SizedVolumes) -> None:
    api.add_volume("vol-0", "none")
    mountpoint = api.add_volume("vol-1", "zfs")
    (mountpoint / "file").write_text("kept")
    uses = (volumes.usage, volumes.data_path, volumes.discard, lambda name: volumes.set_aside(name, "zfs"))
    for use in (*uses, lambda name: volumes.ensure_mounted([name])):
        with pytest.raises(VolumeDriverUnknown, match="vol-1 was made with the driver 'zfs'"):
            use("vol-1")
    assert (mountpoint / "file").exists()
    assert volumes.usages() == {"vol-0": Usage(), "vol-1": Usage()}
    assert volumes.made() == {"vol-0": "op0", "vol-1": "op0"}
    volumes.ensure_mounted(["vol-0"])


def test_one_line_makes_a_new_driver_known(
    api: FakeApi, volumes: SizedVolumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ZfsDriver(PlainDriver):
        name = "zfs"

        def usage(self, details: VolumeDetails) -> Usage:
            return Usage(8, 5, 1)

    api.add_volume("vol-0", "zfs")
    monkeypatch.setitem(DRIVERS, "zfs", ZfsDriver)
    assert volumes.usages() == {"vol-0": Usage(8, 5, 1)}
