"""The composition root: builds adapters from the settings, and services from the adapters, one function per feature."""

from dataclasses import dataclass

from app.adapters.docker.client import Clients
from app.adapters.docker.containers import DockerContainers
from app.adapters.docker.exec import DockerExec
from app.adapters.docker.images import DockerImages
from app.adapters.docker.layers.carrier import DockerLayers
from app.adapters.docker.layers.locators import DriverLocator
from app.adapters.docker.volumes import EngineVolumes
from app.adapters.etcd import EtcdStore
from app.adapters.gpus.nvml import NvmlInventory
from app.adapters.gpus.simulated import SimulatedInventory
from app.adapters.host import LocalHost
from app.adapters.peers import HttpPeers
from app.adapters.signals import Signals as EventSignals
from app.adapters.volumes.sized import SizedVolumes
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
from app.containers.cleanup import Cleanup
from app.containers.drift import Drifts
from app.containers.execute import ContainerExec
from app.containers.layer_sizes import LayerSizes
from app.containers.queries import ContainerQueries
from app.containers.service import ContainerService
from app.containers.undo import Undo
from app.gpus.health import GpuHealth
from app.gpus.history import GpuHistory
from app.gpus.queries import Gpus
from app.gpus.sampling import Sampler
from app.gpus.visibility import GpuVisibility
from app.health import Health
from app.images.queries import ImageService
from app.kinds import registry
from app.operations.journal import Journal
from app.operations.queries import Operations
from app.operations.reader import PlanSettings, Reader
from app.operations.resolve import Resolver
from app.operations.runner import Runner
from app.operations.service import OperationService
from app.operations.startup import Startup
from app.ports import Backends
from app.state.gpus import GpuRecords
from app.state.guard import StateGuard
from app.state.idempotency import Idempotency
from app.state.retained_data import RetainedData
from app.state.unreadable import UnreadableRecords
from app.volumes.disk_usage import DiskUsage
from app.volumes.drift import VolumeDrifts
from app.volumes.queries import VolumeQueries
from app.volumes.service import VolumeService


@dataclass(frozen=True)
class Cluster:
    """The nodes that share one etcd: who is there, what is where, and how they are asked."""

    nodes: Nodes
    reports: RemoteReports
    gpus: GpusElsewhere
    forwarder: Forwarder


@dataclass(frozen=True)
class GpuServices:
    """The GPUs of all nodes; the health, the holders so far and the readings of this node's."""

    gpus: Gpus
    health: GpuHealth
    history: GpuHistory
    sampler: Sampler


@dataclass(frozen=True)
class AgentServices:
    """The parts of the node's own process, and what a fresh worker does at its start."""

    reconciler: Reconciler
    presence: Presence
    startup: Startup


@dataclass(frozen=True)
class Services:
    """Everything gpudock can do, by feature, for the API, the pages and the commands alike."""

    config: Config
    containers: ContainerService
    volumes: VolumeService
    images: ImageService
    gpus: Gpus
    gpu: GpuServices
    operations: OperationService
    forwarder: Forwarder
    locator: Locator
    placement: Placement
    summary: ClusterSummary
    agent: AgentServices
    guard: StateGuard
    idempotency: Idempotency
    health: Health
    unreadable: UnreadableRecords


def build_backends(config: Config) -> Backends:
    """Adapters for the real world; none of them connects to anything yet."""
    simulated, clients = config.simulated_gpus, Clients(config.docker_host)
    return Backends(
        store=EtcdStore(config.etcd, config.prefix),
        containers=DockerContainers(clients, config.node, config.gpu_request, config.stop_timeout),
        images=DockerImages(clients),
        docker_volumes=EngineVolumes(clients),
        exec=DockerExec(clients),
        inventory=NvmlInventory() if simulated is None else SimulatedInventory(simulated, config.node),
        layers=DockerLayers(DriverLocator(clients)),
        host=LocalHost(),
        volumes=SizedVolumes(clients, config.node, config.volumes),
        signals=EventSignals(config.docker_host, config.node, config.etcd, config.prefix),
        peers=HttpPeers(),
    )


def build_services(config: Config, backends: Backends) -> Services:
    """The services over these backends."""
    reader = build_reader(config, backends)
    images = ImageService(backends.store, backends.images, config.node)
    guard = StateGuard(backends.store, backends.containers, backends.volumes, config.node)
    operations = build_operations(backends, reader, images, guard)
    cluster = build_cluster(config, backends)
    gpu = build_gpus(config, backends, reader, cluster)
    containers = build_containers(config, backends, reader, operations, cluster, gpu)
    volumes = build_volumes(config, backends, reader, operations, cluster)
    return Services(
        config=config,
        containers=containers,
        volumes=volumes,
        images=images,
        gpus=gpu.gpus,
        gpu=gpu,
        operations=operations,
        forwarder=cluster.forwarder,
        locator=Locator(backends.store, cluster.nodes, reader.records, reader.volume_records, cluster.gpus),
        placement=Placement(cluster.nodes, gpu.gpus, reader.volume_records, cluster.reports),
        summary=ClusterSummary(cluster.nodes, gpu.gpus, reader.records, reader.volume_records),
        agent=build_agent(config, backends, reader, operations, containers, volumes, gpu, guard),
        guard=guard,
        idempotency=Idempotency(backends.store, backends.host, config.node),
        health=Health(backends.store, backends.containers, backends.inventory),
        unreadable=UnreadableRecords(backends.store),
    )


def build_reader(config: Config, backends: Backends) -> Reader:
    """Build what plans may look at."""
    return Reader(
        node=config.node,
        store=backends.store,
        containers=backends.containers,
        images=backends.images,
        docker_volumes=backends.docker_volumes,
        layers=backends.layers,
        volumes=backends.volumes,
        inventory=backends.inventory,
        host=backends.host,
        settings=PlanSettings(config.port_range, config.foreign_memory, config.bind_roots, config.keep_versions),
    )


def build_operations(backends: Backends, reader: Reader, images: ImageService, guard: StateGuard) -> OperationService:
    """The one way in which everything is changed."""
    undo = build_undo(backends, reader)
    retained = RetainedData(backends.store, backends.layers, backends.volumes)
    cleanup = Cleanup(backends.docker_volumes, backends.layers, undo, retained)
    kinds = registry(backends, reader, undo, cleanup, retained, images)
    journal = Journal(backends.store, backends.host, reader.node, kinds, guard.ensure)
    queries = Operations(backends.store, journal)
    nodes = Nodes(backends.store, reader.node)
    return OperationService(
        runner=Runner(reader, kinds, journal),
        journal=journal,
        queries=queries,
        resolver=Resolver(reader, kinds, journal, queries, nodes.lives),
    )


def build_cluster(config: Config, backends: Backends) -> Cluster:
    """The other nodes."""
    nodes = Nodes(backends.store, config.node)
    return Cluster(
        nodes=nodes,
        reports=RemoteReports(backends.store, nodes),
        gpus=GpusElsewhere(backends.store, nodes),
        forwarder=Forwarder(nodes, backends.peers, backends.host),
    )


def build_gpus(config: Config, backends: Backends, reader: Reader, cluster: Cluster) -> GpuServices:
    """The GPUs."""
    records = GpuRecords(backends.store, config.node)
    visibility = GpuVisibility(backends.store, reader.records, backends.containers, backends.exec)
    return GpuServices(
        gpus=Gpus(reader.records, records, backends.inventory, config.foreign_memory, cluster.gpus.views),
        health=GpuHealth(records, visibility, backends.inventory),
        history=GpuHistory(backends.store),
        sampler=Sampler(backends.inventory),
    )


def build_containers(
    config: Config, backends: Backends, reader: Reader, operations: OperationService, cluster: Cluster, gpu: GpuServices
) -> ContainerService:
    """Containers."""
    drifts = Drifts(reader.operations, reader.volume_records, backends.docker_volumes, gpu.gpus, gpu.health)
    return ContainerService(
        runner=operations.runner,
        records=reader.records,
        queries=ContainerQueries(reader.records, backends.containers, drifts, cluster.reports),
        exec=ContainerExec(reader.records, backends.exec, config.exec_timeout),
        layer_sizes=LayerSizes(backends.layers, config.node),
    )


def build_volumes(
    config: Config, backends: Backends, reader: Reader, operations: OperationService, cluster: Cluster
) -> VolumeService:
    """Volumes."""
    drifts = VolumeDrifts(reader.operations, backends.docker_volumes)
    return VolumeService(
        runner=operations.runner,
        records=reader.volume_records,
        queries=VolumeQueries(reader.volume_records, backends.containers, backends.volumes, drifts, cluster.reports),
        disk_usage=DiskUsage(backends.volumes, cluster.reports, config.node),
    )


def build_agent(
    config: Config,
    backends: Backends,
    reader: Reader,
    operations: OperationService,
    containers: ContainerService,
    volumes: VolumeService,
    gpu: GpuServices,
    guard: StateGuard,
) -> AgentServices:
    """The node's own process."""
    store, host, journal = backends.store, backends.host, operations.journal
    leadership = Leadership(store, host, config.node)
    reporter = Reporter(
        store,
        leadership,
        containers.queries,
        volumes.queries,
        backends.inventory,
        config.foreign_memory,
        backends.volumes.disks,
    )
    presence = Presence(store, reporter, host, config.node)
    startup = Startup(journal, reader.volume_records, backends.volumes)
    reconciler = Reconciler(
        leadership=leadership,
        contact=Contact(store, leadership),
        snapshot_reader=SnapshotReader(
            store, backends.containers, backends.images, backends.volumes, backends.inventory, host, config.node
        ),
        executor=build_executor(backends, reader, operations),
        startup=startup,
        guard=guard,
        gpu_health=gpu.health,
        signals=backends.signals,
        presence=presence,
    )
    return AgentServices(reconciler, presence, startup)


def build_executor(backends: Backends, reader: Reader, operations: OperationService) -> ActionExecutor:
    """Build what carries the agent's plans out."""
    return ActionExecutor(
        store=backends.store,
        journal=operations.journal,
        containers=backends.containers,
        images=backends.images,
        runner=operations.runner,
        reader=reader,
        undo=build_undo(backends, reader),
        volumes=backends.volumes,
        retained_data=RetainedData(backends.store, backends.layers, backends.volumes),
    )


def build_undo(backends: Backends, reader: Reader) -> Undo:
    """Build what undoes a version that was not committed."""
    return Undo(
        backends.store,
        reader.records,
        reader.volume_records,
        backends.containers,
        backends.images,
        backends.docker_volumes,
        backends.volumes,
    )
