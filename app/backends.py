"""The composition root: builds adapters from the settings and services from the adapters."""

from dataclasses import dataclass

from app.adapters.docker_engine import DockerEngine
from app.adapters.etcd import EtcdStore
from app.adapters.host import LocalHost
from app.adapters.nvml import NvmlInventory
from app.adapters.overlay import OverlayLayers
from app.adapters.signals import Signals as EventSignals
from app.adapters.simulated import SimulatedInventory
from app.adapters.volumes import DockerVolumes
from app.config import Config
from app.ports import Engine, Host, Inventory, Layers, Signals, Store, Volumes
from app.services.adopt import Adopter
from app.services.allocation import Allocator
from app.services.binds import Binds
from app.services.carry import Carrier
from app.services.changes import Changer
from app.services.commit import Committer
from app.services.continuity import Continuity
from app.services.create import Creator
from app.services.delete import Deleter
from app.services.drift import Drifts
from app.services.gpu_health import GpuHealth
from app.services.gpu_inside import GpusInside
from app.services.gpu_records import GpuRecords
from app.services.gpus import Gpus
from app.services.health import Health
from app.services.idempotency import Idempotency
from app.services.inquiry import Inquiry
from app.services.inside import Inside
from app.services.journal import Journal
from app.services.lifecycle import Lifecycle
from app.services.operations import Operations
from app.services.prune import Pruner
from app.services.reconcile.act import Actor
from app.services.reconcile.contact import Contact, Leadership
from app.services.reconcile.facts import Gatherer
from app.services.reconcile.loop import Reconciler
from app.services.records import Records
from app.services.recreate import Recreator
from app.services.retire import Retire
from app.services.startup import Startup
from app.services.undo import Undo
from app.services.versions import Versions
from app.services.volumes.adopt import VolumeAdopter
from app.services.volumes.claims import VolumeClaims
from app.services.volumes.create import VolumeCreator
from app.services.volumes.delete import VolumeDeleter
from app.services.volumes.inquiry import VolumeInquiry
from app.services.volumes.making import VolumeMaker
from app.services.volumes.records import VolumeRecords
from app.services.volumes.resize import VolumeResizer


@dataclass(frozen=True)
class Backends:
    """The outside world: the real one, or a test's."""

    store: Store
    engine: Engine
    inventory: Inventory
    layers: Layers
    host: Host
    volumes: Volumes
    signals: Signals


@dataclass(frozen=True)
class VolumeServices:
    """The use cases of volumes."""

    records: VolumeRecords
    creator: VolumeCreator
    resizer: VolumeResizer
    deleter: VolumeDeleter
    inquiry: VolumeInquiry


@dataclass(frozen=True)
class Services:
    """The use cases, for the API and the pages alike."""

    config: Config
    records: Records
    journal: Journal
    continuity: Continuity
    creator: Creator
    adopter: Adopter
    changer: Changer
    lifecycle: Lifecycle
    deleter: Deleter
    inside: Inside
    committer: Committer
    inquiry: Inquiry
    operations: Operations
    volumes: VolumeServices
    gpus: Gpus
    gpu_health: GpuHealth
    health: Health
    idempotency: Idempotency
    startup: Startup
    reconciler: Reconciler


def build_backends(config: Config) -> Backends:
    """Adapters for the real world; none of them connects to anything yet."""
    simulated = config.simulated_gpus
    return Backends(
        store=EtcdStore(config.etcd, config.prefix),
        engine=DockerEngine(config.docker_host, config.node, config.gpu_request, config.stop_timeout),
        inventory=NvmlInventory() if simulated is None else SimulatedInventory(simulated, config.node),
        layers=OverlayLayers(),
        host=LocalHost(),
        volumes=DockerVolumes(config.docker_host, config.node, config.volumes),
        signals=EventSignals(config.docker_host, config.node, config.etcd, config.prefix),
    )


def build_services(config: Config, backends: Backends) -> Services:
    """The services over these backends."""
    store, engine, layers, volumes = backends.store, backends.engine, backends.layers, backends.volumes
    records, volume_records = Records(store, config.node), VolumeRecords(store, config.node)
    continuity = Continuity(store, engine, volumes, config.node)
    journal = Journal(store, backends.host, config.node, continuity.ensure)
    claims = VolumeClaims(volume_records, journal, engine, volumes)
    gpu_records = GpuRecords(store, config.node)
    versions = Versions(records, journal, claims, gpu_records)
    inventory, foreign = backends.inventory, config.foreign_memory
    allocator = Allocator(records, journal, gpu_records, inventory, backends.host, config.port_range, foreign)
    binds = Binds(backends.host, config.bind_roots)
    undo = Undo(store, records, engine, claims)
    retire = Retire(journal, engine, layers, undo)
    maker = VolumeMaker(volume_records, journal, volumes)
    volume_deleter = VolumeDeleter(volume_records, records, journal, maker, engine, volumes)
    deleter = Deleter(records, journal, versions, engine, layers, retire, volume_deleter)
    pruner = Pruner(records, volume_records, deleter, volume_deleter, config.keep_versions)
    carrier = Carrier(engine, layers, volumes)
    recreator = Recreator(
        records, journal, versions, engine, layers, carrier, allocator, binds, claims, undo, retire, pruner
    )
    creator = Creator(records, journal, versions, engine, allocator, binds, claims, undo)
    volume_creator = VolumeCreator(maker)
    changer = Changer(records, versions, recreator)
    lifecycle = Lifecycle(records, journal, versions, engine, changer, claims)
    gpu_health = GpuHealth(gpu_records, GpusInside(store, records, engine), inventory)
    gpus = Gpus(records, gpu_records, inventory, foreign)
    drifts = Drifts(journal, volume_records, engine, gpus, gpu_health)
    startup = Startup(journal, volume_records, volumes)
    leadership = Leadership(store, backends.host, config.node)
    reconciler = Reconciler(
        leadership=leadership,
        contact=Contact(store, leadership),
        gatherer=Gatherer(store, engine, inventory, backends.host, config.node),
        actor=Actor(store, journal, engine, lifecycle, undo),
        startup=startup,
        continuity=continuity,
        gpu_health=gpu_health,
        signals=backends.signals,
    )
    return Services(
        config=config,
        records=records,
        journal=journal,
        continuity=continuity,
        creator=creator,
        adopter=Adopter(creator, carrier, layers, VolumeAdopter(volume_creator, engine)),
        changer=changer,
        lifecycle=lifecycle,
        deleter=deleter,
        committer=Committer(records, journal, versions, engine),
        inside=Inside(records, engine, config.exec_timeout),
        inquiry=Inquiry(records, engine, drifts),
        operations=Operations(store, journal),
        volumes=VolumeServices(
            records=volume_records,
            creator=volume_creator,
            resizer=VolumeResizer(maker, engine, pruner),
            deleter=volume_deleter,
            inquiry=VolumeInquiry(volume_records, engine, volumes, drifts),
        ),
        gpus=gpus,
        gpu_health=gpu_health,
        health=Health(store, engine, inventory),
        idempotency=Idempotency(store, backends.host, config.node),
        startup=startup,
        reconciler=reconciler,
    )
