"""The storage driver of Docker decides who knows where layers are; locators stand in one registry."""

from pathlib import Path

import pytest

from app.adapters.docker.layers.carrier import DockerLayers
from app.adapters.docker.layers.locators import LOCATORS, DriverLocator
from app.errors import ContainerNotFound, LayerCopyFailed
from tests.support.docker_api import FakeApi


def layers(api: FakeApi) -> DockerLayers:
    return DockerLayers(DriverLocator(api))  # type: ignore[arg-type]


def test_the_locator_of_overlay2_tells_what_docker_tells(tmp_path: Path) -> None:
    api = FakeApi(tmp_path)
    directory = f"{tmp_path}/overlay2/{'a' * 64}/diff"
    api.containers_["one"] = {"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": directory}}}
    found = layers(api)
    assert (found.locate("one"), found.locate("one"), api.asked) == (directory, directory, 1)
    with pytest.raises(ContainerNotFound):
        found.locate("none")


@pytest.mark.parametrize("graph", [None, {}, {"Data": None}, {"Data": {}}])
def test_a_container_without_a_layer_is_told(tmp_path: Path, graph: object) -> None:
    api = FakeApi(tmp_path)
    api.containers_["one"] = {"GraphDriver": graph}
    with pytest.raises(LayerCopyFailed, match="shows no writable layer; gpudock needs overlay2"):
        layers(api).locate("one")


def test_an_unknown_storage_driver_is_told(tmp_path: Path) -> None:
    found = layers(FakeApi(tmp_path, "btrfs"))
    with pytest.raises(LayerCopyFailed, match="shows no writable layer; gpudock needs overlay2"):
        found.locate("one")
    with pytest.raises(LayerCopyFailed, match="shows no writable layer"):
        found.measure(f"{tmp_path}/overlay2/{'a' * 64}/diff")


def test_one_line_makes_a_new_storage_driver_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SnapshotLocator:
        def __init__(self, clients: object) -> None:
            pass

        def locate(self, container: str) -> str:
            return f"{tmp_path}/snapshots/{container}/fs"

        def root(self, path: str) -> str | None:
            return str(tmp_path) if Path(path).name == "fs" else None

    monkeypatch.setitem(LOCATORS, "overlayfs", SnapshotLocator)
    found = layers(FakeApi(tmp_path, "overlayfs"))
    layer = Path(found.locate("one"))
    layer.mkdir(parents=True)
    (layer / "file").write_text("kept")
    assert found.measure(str(layer))[1] == 1
    aside = found.set_aside(str(layer), "one-0")
    assert (aside, list(layer.iterdir())) == (f"{tmp_path}/gpudock/layers/one-0", [])
    assert (Path(aside) / "file").read_text() == "kept"
    for other in (f"{tmp_path}/overlay2/{'a' * 64}/diff", f"{layer}/../fs"):
        with pytest.raises(LayerCopyFailed):
            found.measure(other)
