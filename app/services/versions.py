"""What creating and re-creating share: an operation's intent, the container it plans, the records it commits."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.containers import ContainerPlan, FamilyRecord, Labels, VersionRecord
from app.domain.gpus import Holder
from app.domain.naming import versioned
from app.domain.operations import Operation, Parent, new_id, now
from app.errors import ContainerNotFound, OperationRunning
from app.ports import Put
from app.services.allocation import Allocation
from app.services.journal import Journal, Live
from app.services.records import FamilyState, Records, family_key, version_key


@dataclass(frozen=True)
class Made:
    """A container's id and versioned name, and whether anything had to be changed to get there."""

    id: str
    name: str
    changed: bool = True


class Versions:
    """Builds operations, plans and records for one node."""

    def __init__(self, records: Records, journal: Journal) -> None:
        self._records = records
        self._journal = journal

    def ensure_idle(self, family: str) -> None:
        """OperationRunning if another operation on the family has not ended."""
        if operation := self._journal.running(family):
            raise busy(operation)

    def operation(self, kind: str, family: str, version: int, parent: Parent | None = None) -> Operation:
        """A new operation of this process, claiming nothing."""
        return Operation(
            id=new_id(),
            kind=kind,
            family=family,
            version=version,
            node=self._records.node,
            owner=self._journal.owner,
            started=now(),
            parent=parent,
        )

    def begin(self, operation: Operation, revision: int) -> Live | None:
        """Write the intent and claim its GPUs and ports, if the family's record has `revision` (0: none)."""
        free = dict.fromkeys(self._records.claim_keys(operation.gpus, operation.ports), 0)
        holder = Holder(operation.family, operation.version, operation.id)
        claims = self._records.put_claims(holder, operation.gpus, operation.ports)
        return self._journal.begin(operation, {family_key(operation.family): revision, **free}, claims)

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

    def commit(self, live: Live, record: VersionRecord, state: FamilyState | None, freed: tuple[str, ...]) -> None:
        """The commit point: `record` becomes current and running, holds its GPUs and ports, and `freed` are free."""
        family = FamilyRecord(
            family=record.family,
            node=record.node,
            current=record.version,
            desired="running",
            created=state.record.created if state else record.created,
            updated=record.created,
        )
        holder = Holder(record.family, record.version, live.operation.id, record.container_id)
        ports = [port.host for port in record.spec.ports]
        live.commit(
            [
                Put(family_key(record.family), family.to_json()),
                Put(version_key(record.family, record.version), record.to_json()),
                *self._records.put_claims(holder, record.gpus, ports),
                *self._records.release(freed, ()),
            ]
        )


def busy(operation: Operation) -> OperationRunning:
    """The refusal of a request that met another operation on the same family."""
    return OperationRunning(
        f"another operation ({operation.kind}) on {operation.family} is running; try again when it has ended",
        kind=operation.kind,
        operation=operation.id,
    )


def vanished(name: str) -> ContainerNotFound:
    """The answer for a container that is recorded but gone from Docker, and its files with it."""
    return ContainerNotFound(
        f"{name} was removed from Docker behind gpudock's back and its files with it; "
        "delete it here too, then create it anew"
    )
