"""Take in what somebody made with Docker itself: a container goes on as the first version of a family."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.containers.adoption_overlay import AdoptionHost, AdoptionInventory
from app.containers.binds import resolve_binds
from app.containers.create import check_absent
from app.containers.migration import Source
from app.containers.transactions import ContainerResult, VersionStarter, claim_version, container_plan
from app.containers.undo import Undo
from app.errors import (
    AdoptionFailed,
    AdoptionRefused,
    AlreadyManaged,
    ContainerNotFound,
    GpuNotFound,
    NotEnoughGpus,
    OperationFailed,
)
from app.gpus.allocation import Allocation, allocate
from app.model.adoption import ALL_GPUS, UnmanagedContainer, family_for
from app.model.container import ContainerPlan, Inspected
from app.model.gpu import check_count
from app.model.messages import Text, joined
from app.model.operation import Kind, Operation, Parent
from app.model.validation import check_spec
from app.operations.base import KindBase, Plan, Request, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.volumes.claims import claim_volumes

_STATES = ("running", "exited", "created")


@dataclass(frozen=True)
class AdoptContainer(Request[ContainerResult]):
    """Make `family`-0 (default: named as the container) of a container, with its files and settings, and start it."""

    name: str
    family: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdoptPlan(Plan):
    """The container that is there, its files, the container to be made of it, and leftovers, see CreatePlan."""

    old: Inspected
    source: Source
    container: ContainerPlan
    leftovers: Sequence[str]


@dataclass(frozen=True)
class Adopt(KindBase):
    """Takes in containers that gpudock did not make. What they were made of stays, stopped and untouched.

    A failure before the commit is undone, and the old container runs on.
    """

    starter: VersionStarter
    undo: Undo

    @staticmethod
    def plan(reader: Reader, request: AdoptContainer) -> AdoptPlan:
        """Find the container and choose GPUs and ports; those that it names are kept.

        Raises AdoptionRefused for settings that gpudock cannot keep, AlreadyManaged, ContainerNotFound, and what a
        create raises.
        """
        found = _find(reader, request.name)
        family = family_for(found.container.name, request.family)
        leftovers = check_absent(reader, family)
        found = replace(found, spec=check_spec(resolve_binds(reader, found.spec)))
        old = reader.containers.inspect(found.container.id)
        if old is None:
            raise ContainerNotFound(Text("{name} was removed from Docker in this moment", name=found.container.name))
        source = Source(reader.layers.locate(old.id), Parent(0, old.id, old.running), moving=True)
        allocation, volumes = _allocate(reader, family, found, old), claim_volumes(reader, found.spec)
        draft = reader.draft(Kind.ADOPT, family, 0, parent=source.parent)
        operation, claimed = claim_version(reader, draft, allocation, old.image_id, volumes, 0)
        return AdoptPlan(
            operation=operation,
            expected=claimed.expected,
            writes=claimed.writes,
            gpus=allocation.gpus,
            ports=allocation.ports,
            copies=[lambda: reader.layers.measure(source.layer)],
            old=old,
            source=source,
            container=container_plan(operation, allocation, old.image_id, found.container.anonymous),
            leftovers=leftovers,
        )

    def run(self, handle: OperationHandle, plan: AdoptPlan) -> ContainerResult:
        """Make the new container, in the place of the old one."""
        try:
            return self._make(handle, plan)
        except OperationFailed as exc:
            raise AdoptionFailed(
                Text("{name} could not be taken in, and is as it was: {why}", name=plan.old.name, why=exc.message)
            ) from exc

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.undo.ways_out(operation)

    def _make(self, handle: OperationHandle, plan: AdoptPlan) -> ContainerResult:
        for leftover in plan.leftovers:
            self.undo.remove(plan.operation.family, leftover)
        container = self.starter.create(plan.container)
        _check_nothing_lost(plan.old.name, self.starter.containers.differences(plan.old.id, container))
        write_out = self.starter.fill(handle, plan.source, container)
        return self.starter.start(handle, plan.container, container, write_out)


def _find(reader: Reader, name: str) -> UnmanagedContainer:
    found = reader.containers.describe(name)
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


def _allocate(reader: Reader, family: str, found: UnmanagedContainer, old: Inspected) -> Allocation:
    """Choose GPUs and ports as they are free once the old container has stopped; those that it names, if it does."""
    named = _named(reader, found)
    count = len(reader.inventory.uuids()) if found.gpu_count == ALL_GPUS else found.gpu_count
    ports = {port.host for port in found.spec.ports} if old.running else set()
    after = replace(
        reader,
        inventory=AdoptionInventory(reader.inventory, old.id, named),
        host=AdoptionHost(reader.host, frozenset(ports)),
    )
    try:
        return allocate(after, family, found.spec.with_gpus(check_count(len(named) or count)))
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


def _named(reader: Reader, found: UnmanagedContainer) -> frozenset[str]:
    """The UUIDs of the GPUs that it asks for by name."""
    if not found.gpus:
        return frozenset()
    known = {name: gpu.uuid for gpu in reader.inventory.gpus() for name in (gpu.uuid, str(gpu.index))}
    if unknown := [name for name in found.gpus if name not in known]:
        raise GpuNotFound(
            Text(
                "{name} asks for GPU {gpus}, which is not on this node",
                name=found.container.name,
                gpus=", ".join(unknown),
            )
        )
    return frozenset(known[name] for name in found.gpus)


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
