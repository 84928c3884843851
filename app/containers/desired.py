"""The common part of stopping and starting: the newest version as it is, and whether it should run from now on."""

from dataclasses import dataclass, replace
from typing import Any

from app.containers.transactions import claim
from app.errors import ContainerNotFound, OperationFailed
from app.model.messages import Text
from app.model.operation import Kind, Operation, Parent, now
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Delete
from app.state.containers import FamilyState, Records


def plan_on_newest(reader: Reader, kind: Kind, state: FamilyState) -> dict[str, Any]:
    """Plan an operation on the newest version as it is: the fields of its Plan. ContainerNotFound if it was deleted."""
    current = state.current
    if state.record.desired == "removed":
        raise ContainerNotFound(
            Text("{name} was deleted; restart brings it back as the next version", name=current.name)
        )
    parent = Parent(current.version, current.container_id, runs(reader, state))
    operation = reader.draft(kind, current.family, current.version, parent=parent)
    claimed = claim(reader, operation, state.revision)
    return {"operation": operation, "expected": claimed.expected, "writes": claimed.writes}


def runs(reader: Reader, state: FamilyState) -> bool:
    """Tell if the newest version runs now."""
    inspected = reader.containers.inspect(state.current.container_id)
    return inspected is not None and inspected.running


def parent_of(operation: Operation) -> Parent:
    """The container that the operation is about; OperationFailed if its record names none."""
    if operation.parent is None:
        raise OperationFailed(Text("the operation's record names no container"))
    return operation.parent


@dataclass(frozen=True)
class DesiredState:
    """Records whether a family should run."""

    records: Records

    def commit(self, handle: OperationHandle, desired: str) -> None:
        """End the operation: the family is `desired` (running or stopped) from now on; stopped, it frees its GPUs."""
        state = self.records.find(handle.operation.family)
        if state is None:
            raise OperationFailed(Text("the container's record vanished from etcd during the operation"))
        changed = replace(state.record, desired=desired, updated=now())
        handle.commit([self.records.put_family(changed), *self._freed(state, desired)])

    def vanished(self, operation: Operation) -> Text | None:
        """Say why the operation cannot be finished if its family is not on record; None if it is."""
        if self.records.find(operation.family):
            return None
        return Text("there is no record of {name} any more", name=operation.family)

    def _freed(self, state: FamilyState, desired: str) -> list[Delete]:
        if desired == "running":
            return []
        return self.records.release(self.records.claims().gpus_of(state.record.family), ())
