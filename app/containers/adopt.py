"""Take in what somebody made with Docker itself: a container goes on as the first version of a family."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.containers.adoption_overlay import AdoptionHost, AdoptionInventory
from app.containers.create import Creator
from app.containers.migration import Migrator, Source
from app.containers.transactions import ContainerResult
from app.errors import (
    AdoptionFailed,
    AdoptionRefused,
    AlreadyManaged,
    ContainerNotFound,
    GpuNotFound,
    NotEnoughGpus,
    OperationFailed,
)
from app.gpus.allocation import Allocation
from app.model.adoption import ALL_GPUS, UnmanagedContainer, family_for
from app.model.container import Inspected
from app.model.gpu import check_count
from app.model.messages import Text, joined
from app.model.operation import Parent
from app.model.validation import check_spec
from app.operations.handle import OperationHandle
from app.ports import Layers
from app.volumes.adopt import VolumeAdopter
from app.volumes.transactions import VolumeResult

_STATES = ("running", "exited", "created")


@dataclass(frozen=True)
class Job:
    """An adoption that is claimed: the container that is there, its files, and what the new one may use."""

    old: Inspected
    source: Source
    allocation: Allocation


@dataclass(frozen=True)
class Adopter:
    """Takes in containers and volumes that gpudock did not make. What they were made of stays, stopped and untouched.

    A failure before the commit is undone, and the old container runs on.
    """

    creator: Creator
    carrier: Migrator
    layers: Layers
    volumes: VolumeAdopter

    def __post_init__(self) -> None:
        self.creator.journal.register("adopt", self.creator.undo)

    def container(self, name: str, family: str | None = None) -> ContainerResult:
        """Make `family`-0 (default: named as the container) of a container, with its files and settings, and start it.

        The old one is stopped; GPUs that it names are kept. Raises AdoptionRefused, and nothing is changed, for
        settings that gpudock cannot keep; AlreadyManaged; ContainerNotFound; and what a create raises.
        """
        found = self._find(name)
        family = family_for(found.container.name, family)
        self.creator.check_absent(family)
        spec = check_spec(replace(found.spec, binds=self.creator.binds.check(found.spec.binds)))
        job, live = self._claim(family, replace(found, spec=spec))
        with self.creator.journal.guard(live):
            try:
                return self._make(job, live)
            except OperationFailed as exc:
                raise AdoptionFailed(
                    Text("{name} could not be taken in, and is as it was: {why}", name=name, why=exc.message)
                ) from exc

    def volume(self, name: str, family: str | None, size: str) -> VolumeResult:
        """Make `family`-0 (default: named as the volume) of a volume, of that size, with its data."""
        return self.volumes.adopt(name, family, size)

    def _find(self, name: str) -> UnmanagedContainer:
        found = self.creator.containers.describe(name)
        if found is None:
            raise ContainerNotFound(Text("Docker has no container {name}; docker ps -a lists them", name=name))
        if labels := found.container.labels:
            raise AlreadyManaged(
                Text(
                    "{name} is gpudock's already, version {version} of {family}",
                    name=name,
                    version=labels.version,
                    family=labels.family,
                )
            )
        if found.container.state not in _STATES:
            raise AdoptionRefused(
                Text(
                    "{name} is {state}; it must run or be stopped (docker unpause, docker stop)",
                    name=name,
                    state=found.container.state,
                ),
                settings=[found.container.state],
            )
        return found

    def _claim(self, family: str, found: UnmanagedContainer) -> tuple[Job, OperationHandle]:
        jobs: list[Job] = []

        def attempt() -> OperationHandle | None:
            job = self._plan(family, found)
            jobs[:] = [job]
            volumes = self.creator.volumes.claim(found.spec)
            operation = replace(
                self.creator.versions.operation("adopt", family, 0, job.source.parent),
                gpus=job.allocation.taken,
                ports=job.allocation.new_ports,
                image_id=job.old.image_id,
                volumes=volumes.names,
            )
            plan = job.allocation.plan(operation, [lambda: self.layers.measure(job.source.layer)])
            live = self.creator.versions.begin(operation, 0, plan, volumes)
            if live is None:
                self.creator.check_absent(family)
            return live

        live = self.creator.journal.compete(attempt)
        return jobs[0], live

    def _plan(self, family: str, found: UnmanagedContainer) -> Job:
        old = self.creator.containers.inspect(found.container.id)
        if old is None:
            raise ContainerNotFound(Text("{name} was removed from Docker in this moment", name=found.container.name))
        source = Source(self.layers.locate(old.id), Parent(0, old.id, old.running), moving=True)
        return Job(replace(old, anonymous=found.container.anonymous), source, self._allocate(family, found, old))

    def _allocate(self, family: str, found: UnmanagedContainer, old: Inspected) -> Allocation:
        """GPUs and ports as they are free once the old container has stopped; those that it names, if it names some."""
        inventory, host = self.creator.allocator.inventory, self.creator.allocator.host
        named = self._named(found)
        count = len(inventory.uuids()) if found.gpu_count == ALL_GPUS else found.gpu_count
        ports = {port.host for port in found.spec.ports} if old.running else set()
        allocator = replace(
            self.creator.allocator,
            inventory=AdoptionInventory(inventory, old.id, named),
            host=AdoptionHost(host, frozenset(ports)),
        )
        try:
            return allocator.allocate(family, found.spec.with_gpus(check_count(len(named) or count)))
        except NotEnoughGpus as exc:
            if not named:
                raise
            message = Text(
                "not all GPUs that {name} names are free ({uuids}): {why}",
                name=old.name,
                uuids=", ".join(sorted(named)),
                why=exc.message,
            )
            raise NotEnoughGpus(message, **(exc.data or {})) from exc

    def _named(self, found: UnmanagedContainer) -> frozenset[str]:
        """The UUIDs of the GPUs that it asks for by name."""
        if not found.gpus:
            return frozenset()
        gpus = self.creator.allocator.inventory.gpus()
        known = {name: gpu.uuid for gpu in gpus for name in (gpu.uuid, str(gpu.index))}
        if unknown := [name for name in found.gpus if name not in known]:
            raise GpuNotFound(
                Text(
                    "{name} asks for GPU {gpus}, which is not on this node",
                    name=found.container.name,
                    gpus=", ".join(unknown),
                )
            )
        return frozenset(known[name] for name in found.gpus)

    def _make(self, job: Job, live: OperationHandle) -> ContainerResult:
        creator, containers = self.creator, self.creator.containers
        plan = creator.versions.plan(live.operation, job.allocation, job.old.image_id, job.old.anonymous)
        creator.images.hold_image(plan.image_id)
        container = containers.create(plan)
        _check_nothing_lost(job.old.name, containers.differences(job.old.id, container))
        write_out = self.carrier.carry(live, job.source, self.layers.locate(container))
        live.step("starting")
        creator.volumes.ensure_mounted(plan.spec)
        containers.start(container)
        write_out()
        record = creator.versions.record(plan, container, self._inspect(container).anonymous, "adopt", None)
        creator.versions.commit(live, record, None, ())
        return ContainerResult(container, plan.name)

    def _inspect(self, container: str) -> Inspected:
        inspected = self.creator.containers.inspect(container)
        if inspected is None:
            raise OperationFailed(Text("the new container vanished from Docker while it was being made"))
        return inspected


def _check_nothing_lost(name: str, lost: Sequence[str]) -> None:
    if not lost:
        return
    message = Text(
        "gpudock cannot keep what {name} was made with: {settings}; make it again without",
        name=name,
        settings=joined(lost, ", "),
    )
    if "--restart" in lost:
        message = Text(
            "{message} (docker update --restart=no {name} is enough for --restart)", message=message, name=name
        )
    raise AdoptionRefused(message, settings=list(lost))
