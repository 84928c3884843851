"""The composition root: builds adapters from the settings and services from the adapters."""

from dataclasses import dataclass, field

from app.adapters.docker.containers import DockerEngine
from app.adapters.docker.images import DockerImages
from app.adapters.docker.layers_overlay2 import OverlayLayers
from app.adapters.etcd import EtcdStore
from app.adapters.gpus.nvml import NvmlInventory
from app.adapters.gpus.simulated import SimulatedInventory
from app.adapters.host import LocalHost
from app.adapters.peers import HttpPeers
from app.adapters.signals import Signals as EventSignals
from app.adapters.volumes.drivers import DockerVolumes
from app.agent.executor import ActionExecutor
from app.agent.leadership import Contact, Leadership
from app.agent.presence import Presence
from app.agent.reconcile import Reconciler
from app.agent.reporter import Reporter
from app.agent.snapshot import SnapshotReader
from app.cluster.forwarder import Forwarder
from app.cluster.gpus import GpusElsewhere
from app.cluster.locator import Locator
from app.cluster.nodes import Nodes
from app.cluster.placement import Placement
from app.cluster.reports import RemoteReports
from app.cluster.summary import ClusterSummary
from app.config import Config
from app.containers.adopt import Adopter
from app.containers.binds import Binds
from app.containers.change import Changer
from app.containers.cleanup import Cleanup
from app.containers.commit import Committer
from app.containers.create import Creator
from app.containers.delete import Deleter
from app.containers.drift import Drifts
from app.containers.execute import ContainerExec
from app.containers.layer_sizes import LayerSizes
from app.containers.migration import Migrator
from app.containers.prune import Pruner
from app.containers.queries import ContainerQueries
from app.containers.recreate import Recreator
from app.containers.stop_restart import Lifecycle
from app.containers.transactions import Versions
from app.containers.undo import Undo
from app.gpus.allocation import Allocator
from app.gpus.health import GpuHealth
from app.gpus.history import GpuHistory
from app.gpus.queries import Gpus
from app.gpus.sampling import Sampler
from app.gpus.visibility import GpuVisibility
from app.health import Health
from app.images.pull import ImagePuller
from app.images.queries import ImageService
from app.operations.journal import Journal
from app.operations.queries import Operations
from app.operations.startup import Startup
from app.ports import Engine, Host, Images, Inventory, Layers, Peers, Signals, Store, Volumes
from app.state.containers import Records
from app.state.gpus import GpuRecords
from app.state.guard import StateGuard
from app.state.idempotency import Idempotency
from app.state.retained_data import RetainedData
from app.state.unreadable import UnreadableRecords
from app.state.volumes import VolumeRecords
from app.volumes.adopt import VolumeAdopter
from app.volumes.claims import VolumeClaims
from app.volumes.create import VolumeCreator
from app.volumes.delete import VolumeDeleter
from app.volumes.disk_usage import DiskUsage
from app.volumes.drift import VolumeDrifts
from app.volumes.queries import VolumeQueries
from app.volumes.resize import VolumeResizer
from app.volumes.transactions import VolumeMaker


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
    images: Images
    peers: Peers = field(default_factory=HttpPeers)


@dataclass(frozen=True)
class VolumeServices:
    """The use cases of volumes."""

    records: VolumeRecords
    creator: VolumeCreator
    resizer: VolumeResizer
    deleter: VolumeDeleter
    inquiry: VolumeQueries


@dataclass(frozen=True)
class Services:
    """The use cases, for the API and the pages alike."""

    config: Config
    records: Records
    journal: Journal
    continuity: StateGuard
    creator: Creator
    adopter: Adopter
    changer: Changer
    lifecycle: Lifecycle
    deleter: Deleter
    inside: ContainerExec
    committer: Committer
    images: ImageService
    puller: ImagePuller
    layer_sizes: LayerSizes
    inquiry: ContainerQueries
    operations: Operations
    volumes: VolumeServices
    gpus: Gpus
    gpu_health: GpuHealth
    health: Health
    unreadable: UnreadableRecords
    holders: GpuHistory
    sampler: Sampler
    space: DiskUsage
    idempotency: Idempotency
    startup: Startup
    reconciler: Reconciler
    presence: Presence
    whereabouts: Locator
    forwarder: Forwarder
    placement: Placement
    survey: ClusterSummary


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
        images=DockerImages(config.docker_host),
    )


def build_services(config: Config, backends: Backends) -> Services:
    """The services over these backends."""
    store, engine, layers, volumes = backends.store, backends.engine, backends.layers, backends.volumes
    records, volume_records = Records(store, config.node), VolumeRecords(store, config.node)
    continuity = StateGuard(store, engine, volumes, config.node)
    journal = Journal(store, backends.host, config.node, continuity.ensure)
    claims = VolumeClaims(volume_records, journal, engine, volumes)
    gpu_records = GpuRecords(store, config.node)
    versions = Versions(records, journal, claims, gpu_records)
    inventory, foreign = backends.inventory, config.foreign_memory
    allocator = Allocator(records, journal, gpu_records, inventory, backends.host, config.port_range, foreign)
    binds = Binds(backends.host, config.bind_roots)
    undo = Undo(store, records, engine, claims)
    asides = RetainedData(store, layers, volumes)
    retire = Cleanup(journal, engine, layers, undo, asides)
    maker = VolumeMaker(volume_records, journal, volumes)
    volume_deleter = VolumeDeleter(volume_records, records, journal, maker, engine, volumes)
    deleter = Deleter(records, journal, versions, engine, layers, retire, volume_deleter)
    pruner = Pruner(records, volume_records, deleter, volume_deleter, config.keep_versions)
    carrier = Migrator(engine, layers, volumes)
    recreator = Recreator(
        records, journal, versions, engine, layers, carrier, allocator, binds, claims, undo, retire, pruner
    )
    creator = Creator(records, journal, versions, engine, allocator, binds, claims, undo)
    volume_creator = VolumeCreator(maker)
    changer = Changer(records, versions, recreator)
    lifecycle = Lifecycle(records, journal, versions, engine, changer, claims)
    gpu_health = GpuHealth(gpu_records, GpuVisibility(store, records, engine), inventory)
    nodes = Nodes(store, config.node)
    reported = RemoteReports(store, nodes)
    gpus_elsewhere = GpusElsewhere(store, nodes)
    gpus = Gpus(records, gpu_records, inventory, foreign, gpus_elsewhere.views)
    shelf = ImageService(store, engine, backends.images, config.node)
    drifts = Drifts(journal, volume_records, engine, gpus, gpu_health)
    operations = Operations(store, journal)
    startup = Startup(journal, volume_records, volumes)
    leadership = Leadership(store, backends.host, config.node)
    inquiry = ContainerQueries(records, engine, drifts, reported)
    volume_inquiry = VolumeQueries(volume_records, engine, volumes, VolumeDrifts(journal, engine), reported)
    reporter = Reporter(store, leadership, inquiry, volume_inquiry, inventory, foreign, volumes.rooms)
    presence = Presence(store, reporter, backends.host, config.node)
    reconciler = Reconciler(
        leadership=leadership,
        contact=Contact(store, leadership),
        snapshot_reader=SnapshotReader(store, engine, volumes, inventory, backends.host, config.node),
        executor=ActionExecutor(store, journal, engine, lifecycle, undo, volumes, asides),
        startup=startup,
        continuity=continuity,
        gpu_health=gpu_health,
        signals=backends.signals,
        presence=presence,
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
        images=shelf,
        puller=ImagePuller(journal, engine, backends.images, shelf),
        layer_sizes=LayerSizes(engine, layers, config.node),
        inside=ContainerExec(records, engine, config.exec_timeout),
        inquiry=inquiry,
        operations=operations,
        volumes=VolumeServices(
            records=volume_records,
            creator=volume_creator,
            resizer=VolumeResizer(maker, engine, pruner, asides),
            deleter=volume_deleter,
            inquiry=volume_inquiry,
        ),
        gpus=gpus,
        gpu_health=gpu_health,
        health=Health(store, engine, inventory),
        unreadable=UnreadableRecords(store),
        holders=GpuHistory(store),
        sampler=Sampler(inventory),
        space=DiskUsage(volumes, reported, config.node),
        idempotency=Idempotency(store, backends.host, config.node),
        startup=startup,
        reconciler=reconciler,
        presence=presence,
        whereabouts=Locator(store, nodes, records, volume_records, gpus_elsewhere),
        forwarder=Forwarder(nodes, backends.peers, backends.host),
        placement=Placement(nodes, gpus, volume_records, reported),
        survey=ClusterSummary(nodes, gpus, records, volume_records),
    )
