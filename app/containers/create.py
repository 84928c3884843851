"""Create a container: the first version of a family."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.containers.binds import resolve_binds
from app.containers.transactions import ContainerResult, VersionStarter, claim_version, container_plan
from app.containers.undo import Undo, made_too_late
from app.errors import ContainerExists
from app.gpus.allocation import allocate
from app.model.container import ContainerPlan, Spec
from app.model.messages import Text
from app.model.names import check_family
from app.model.operation import Kind, Operation
from app.model.validation import check_spec
from app.operations.base import KindBase, Plan, Request, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.state.operations import busy
from app.volumes.claims import claim_volumes


@dataclass(frozen=True)
class CreateContainer(Request[ContainerResult]):
    """Create and start `family`-0 as `spec` says."""

    family: str
    spec: Spec


@dataclass(frozen=True, kw_only=True)
class CreatePlan(Plan):
    """The container to be made, and the ids of those that Docker made too late for operations that were undone."""

    container: ContainerPlan
    leftovers: Sequence[str]


@dataclass(frozen=True)
class Create(KindBase):
    """Creates the first version of a family; any failure leaves nothing behind."""

    starter: VersionStarter
    undo: Undo

    @staticmethod
    def plan(reader: Reader, request: CreateContainer) -> CreatePlan:
        """Choose GPUs and ports; ContainerExists and what is wrong with the spec, if it cannot be made."""
        family, spec = request.family, check_spec(request.spec)
        check_family(family)
        leftovers = check_absent(reader, family)
        image = reader.images.image(spec.image)
        allocation = allocate(reader, family, resolve_binds(reader, spec))
        volumes = claim_volumes(reader, allocation.spec)
        draft = reader.draft(Kind.CREATE, family, 0)
        operation, claimed = claim_version(reader, draft, allocation, image.id, volumes, 0)
        return CreatePlan(
            operation=operation,
            expected=claimed.expected,
            writes=claimed.writes,
            gpus=allocation.gpus,
            ports=allocation.ports,
            container=container_plan(operation, allocation, image.id, {}),
            leftovers=leftovers,
        )

    def run(self, handle: OperationHandle, plan: CreatePlan) -> ContainerResult:
        """Create it and start it."""
        for leftover in plan.leftovers:
            self.undo.remove(plan.operation.family, leftover)
        container = self.starter.create(plan.container)
        return self.starter.start(handle, plan.container, container)

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.undo.ways_out(operation)


def check_absent(reader: Reader, family: str) -> list[str]:
    """Refuse a family whose first version cannot be made, with ContainerExists or OperationRunning.

    Returns the ids of containers that do not count: Docker made them too late, when their operation had been undone.
    """
    found = reader.containers.list(family=family)  # before the records: a rival's new container is in them by then
    operation = reader.operations.running(family)
    if operation is not None and operation.kind == Kind.CREATE and not operation.stuck:
        raise ContainerExists(
            Text("container {name} is being created by another request; choose another name", name=family)
        )
    if operation is not None:
        raise busy(operation)
    if reader.records.find(family) is not None:
        raise ContainerExists(
            Text("container {name} exists already; choose another name or delete it first", name=family)
        )
    late = [observed.id for observed in found if made_too_late(reader.store, observed)]
    if existing := [observed.name for observed in found if observed.id not in late]:
        raise ContainerExists(
            Text(
                "older containers of an erased {family} still exist: {names}; delete them first",
                family=family,
                names=", ".join(existing),
            )
        )
    return late
