"""The composition root: builds adapters from the settings and services from the adapters."""

from dataclasses import dataclass

from app.adapters.docker_engine import DockerEngine
from app.adapters.etcd import EtcdStore
from app.adapters.host import LocalHost
from app.adapters.nvml import NvmlInventory
from app.adapters.overlay import OverlayLayers
from app.adapters.simulated import SimulatedInventory
from app.config import Config
from app.ports import Engine, Host, Inventory, Layers, Store
from app.services.allocation import Allocator
from app.services.binds import Binds
from app.services.create import Creator
from app.services.delete import Deleter
from app.services.gpus import Gpus
from app.services.health import Health
from app.services.inquiry import Inquiry
from app.services.inside import Inside
from app.services.journal import Journal
from app.services.lifecycle import Lifecycle
from app.services.records import Records
from app.services.recreate import Recreator
from app.services.retire import Retire
from app.services.undo import Undo
from app.services.versions import Versions


@dataclass(frozen=True)
class Backends:
    """The outside world: the real one, or a test's."""

    store: Store
    engine: Engine
    inventory: Inventory
    layers: Layers
    host: Host


@dataclass(frozen=True)
class Services:
    """The use cases, for the API and the pages alike."""

    config: Config
    records: Records
    journal: Journal
    creator: Creator
    recreator: Recreator
    lifecycle: Lifecycle
    deleter: Deleter
    inside: Inside
    inquiry: Inquiry
    gpus: Gpus
    health: Health


def build_backends(config: Config) -> Backends:
    """Adapters for the real world; none of them connects to anything yet."""
    simulated = config.simulated_gpus
    return Backends(
        store=EtcdStore(config.etcd, config.prefix),
        engine=DockerEngine(config.docker_host, config.node, config.gpu_request, config.stop_timeout),
        inventory=NvmlInventory() if simulated is None else SimulatedInventory(simulated, config.node),
        layers=OverlayLayers(),
        host=LocalHost(),
    )


def build_services(config: Config, backends: Backends) -> Services:
    """The services over these backends."""
    store, engine, layers, host = backends.store, backends.engine, backends.layers, backends.host
    records = Records(store, config.node)
    journal = Journal(store, host, config.node)
    versions = Versions(records, journal)
    inventory, foreign = backends.inventory, config.foreign_memory
    allocator = Allocator(records, journal, inventory, host, config.port_range, foreign)
    binds = Binds(engine, host, config.bind_roots)
    undo = Undo(store, records, engine)
    retire = Retire(journal, engine, layers, undo)
    recreator = Recreator(records, journal, versions, engine, layers, allocator, binds, undo, retire)
    return Services(
        config=config,
        records=records,
        journal=journal,
        creator=Creator(records, journal, versions, engine, allocator, binds, undo),
        recreator=recreator,
        lifecycle=Lifecycle(records, journal, versions, engine, recreator),
        deleter=Deleter(records, journal, versions, engine, layers, retire),
        inside=Inside(records, engine, config.exec_timeout),
        inquiry=Inquiry(records, engine),
        gpus=Gpus(records, inventory, foreign),
        health=Health(store, engine, inventory),
    )
