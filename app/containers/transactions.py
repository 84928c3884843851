"""What creating and re-creating share: an operation's intent, the container it plans, the records it commits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.errors import ContainerNotFound
from app.gpus.allocation import Allocation
from app.model.container import ContainerPlan, FamilyRecord, Labels, VersionRecord
from app.model.gpu import Holder
from app.model.messages import Text
from app.model.names import versioned
from app.model.operation import Operation, Parent, now
from app.operations import hooks
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import Journal
from app.state.containers import FamilyState, Records
from app.state.gpus import GpuRecords
from app.state.keys import CONTAINERS, family_key
from app.volumes.claims import VolumeClaim, VolumeClaims


@dataclass(frozen=True)
class ContainerResult:
    """A container's id and versioned name, and whether anything had to be changed to get there.

    `merged` tells, after a move to the direct successor of a volume, whether what was written meanwhile went along.
    """

    id: str
    name: str
    changed: bool = True
    merged: bool | None = None


class Versions:
    """Builds operations, plans and records for one node."""

    def __init__(self, records: Records, journal: Journal, volumes: VolumeClaims, health: GpuRecords) -> None:
        self._records = records
        self._journal = journal
        self._volumes = volumes
        self._health = health

    def ensure_idle(self, family: str) -> None:
        """OperationRunning if another operation on the family has not ended."""
        self._journal.ensure_idle(family)

    def operation(self, kind: str, family: str, version: int, parent: Parent | None = None) -> Operation:
        """A new operation of this process, claiming nothing."""
        return replace(self._journal.operation(kind, family, version), parent=parent)

    def begin(
        self, operation: Operation, revision: int, plan: Plan | None = None, volumes: VolumeClaim | None = None
    ) -> OperationHandle | None:
        """Write the intent and claim its GPUs, ports and volumes, if the family's record has `revision` (0: none)."""
        hooks.planned(plan or Plan(operation))
        volumes = volumes or VolumeClaim()
        unclaimed = self._records.claim_keys(operation.gpus, operation.ports)
        free = dict.fromkeys([*unclaimed, *self._health.keys(operation.gpus)], 0)
        expected = {family_key(CONTAINERS, operation.family): revision, **free, **volumes.expected()}
        holder = Holder(operation.family, operation.version, operation.id)
        claims = self._records.put_claims(holder, operation.gpus, operation.ports)
        return self._journal.begin(operation, expected, [*claims, *self._volumes.writes(volumes, operation)])

    def plan(
        self, operation: Operation, allocation: Allocation, image_id: str, anonymous: Mapping[str, str]
    ) -> ContainerPlan:
        """The container that `operation` is to create; a bind takes the place of an anonymous volume."""
        labels = Labels(operation.node, operation.family, operation.version, operation.id)
        name = versioned(operation.family, operation.version)
        bound = {bind.dest for bind in allocation.spec.binds}
        carried = {path: volume for path, volume in anonymous.items() if path not in bound}
        return ContainerPlan(name, labels, image_id, allocation.spec, allocation.gpus, carried)

    def record(
        self, plan: ContainerPlan, container: str, anonymous: Mapping[str, str], why: str, parent: int | None
    ) -> VersionRecord:
        """The record of the version that `plan` became."""
        return VersionRecord(
            family=plan.labels.family,
            version=plan.labels.version,
            node=plan.labels.node,
            spec=plan.spec,
            image_id=plan.image_id,
            container_id=container,
            gpus=plan.gpus,
            anonymous=anonymous,
            parent=parent,
            why=why,
            created=now(),
        )

    def commit(
        self, live: OperationHandle, record: VersionRecord, state: FamilyState | None, freed: tuple[str, ...]
    ) -> None:
        """The commit point: `record` becomes current and running, holds its GPUs and ports, and `freed` are free."""
        before = state.record if state else FamilyRecord(record.family, record.node, 0, "", created=record.created)
        family = replace(before, current=record.version, desired="running", updated=record.created)
        holder = Holder(record.family, record.version, live.operation.id, record.container_id)
        ports = [port.host for port in record.spec.ports]
        live.commit(
            [
                self._records.put_family(family),
                self._records.put(record),
                *self._records.put_claims(holder, record.gpus, ports),
                *self._records.release(freed, ()),
                *self._volumes.mounted(live.operation),
            ],
            cancellable=True,
        )


def vanished(name: str) -> ContainerNotFound:
    """The answer for a container that is recorded but gone from Docker, and its files with it."""
    return ContainerNotFound(
        Text(
            "{name} was removed from Docker behind gpudock's back and its files with it; "
            "delete it here too, then create it anew",
            name=name,
        )
    )
