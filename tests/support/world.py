"""The services over working fakes: a host with 8 simulated GPUs, one image, etcd in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.adapters.gpus.simulated import SimulatedInventory
from app.bootstrap import Services, build_services
from app.config import Config
from app.errors import Unavailable
from app.model.container import Spec
from app.model.gpu import Gpu
from app.ports import Backends
from tests.support.fake_engine import FakeEngine, FakeHost, FakeLayers
from tests.support.fake_images import FakeImages
from tests.support.fake_peers import FakePeers
from tests.support.fake_signals import FakeSignals
from tests.support.fake_volumes import FakeVolumes
from tests.support.memory_store import MemoryStore

CONFIG = Config(
    etcd=(("127.0.0.1", 2379),),
    prefix="/test",
    node="test-node",
    docker_host="unix:///nowhere.sock",
    simulated_gpus=8,
    gpu_request="none",
    bind_roots=("/mnt", "/data"),
    port_range=(40000, 40099),
    token=None,
    auth=True,
    stop_timeout=1.0,
    exec_timeout=2.0,
    foreign_memory=64 << 20,
    volumes="none",
    keep_versions=None,
)
SPEC = Spec(image="busybox:test", cmd=("sh",))


class FaultyInventory(SimulatedInventory):
    """`changes` maps a GPU's index to fields that differ; `error` is raised instead of an answer."""

    def __init__(self, count: int, node: str) -> None:
        super().__init__(count, node)
        self.changes: dict[int, dict[str, Any]] = {}
        self.error: Unavailable | None = None

    def gpus(self) -> Sequence[Gpu]:
        if self.error:
            raise self.error
        return [replace(gpu, **self.changes.get(gpu.index, {})) for gpu in super().gpus()]


@dataclass
class World:
    """The services, and the fakes behind them to look into."""

    store: MemoryStore
    engine: FakeEngine
    layers: FakeLayers
    host: FakeHost
    volumes: FakeVolumes
    inventory: FaultyInventory
    images: FakeImages
    services: Services

    def files(self, name: str) -> dict[str, str]:
        """The files in the writable layer of a container."""
        return self.engine.layers[self.engine.locate(name)]

    def in_use(self) -> set[str]:
        """The UUIDs of the GPUs that the API says are in use."""
        return {uuid for uuid, used in self.services.gpus.status().items() if used}

    def stored(self, *prefixes: str) -> list[str]:
        """The keys under these prefixes, history left out."""
        known = ("/containers/", "/volumes/", "/operations/", "/cancellations/", "/gpus/", "/ports/")
        return [entry.key for entry in self.store.list(*prefixes or known)]

    def containers(self) -> dict[str, str]:
        """Docker's containers: name to state."""
        return {container.name: container.state for container in self.engine.containers.values()}


def make_world(config: Config = CONFIG, store: MemoryStore | None = None) -> World:
    """A fresh world, with nothing in it; with `store` another node beside those that have the same."""
    store, engine, host = store or MemoryStore(), FakeEngine(config.node), FakeHost()
    layers = FakeLayers(engine)
    inventory = FaultyInventory(config.simulated_gpus or 0, config.node)
    volumes = FakeVolumes(engine)
    images = FakeImages(engine)
    parts = Backends(
        store, engine, images, engine, engine, inventory, layers, host, volumes, FakeSignals(), FakePeers()
    )
    services = build_services(config, parts)
    return World(store, engine, layers, host, volumes, inventory, images, services)


def spec(**changes: object) -> Spec:
    """SPEC with changes."""
    return replace(SPEC, **changes)  # type: ignore[arg-type]
