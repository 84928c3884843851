"""The operations that run or are stuck, as etcd has them: each is the mutex of its family."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import OperationRunning, OperationStuck
from app.model.messages import Text
from app.model.operation import Operation
from app.ports import Host, StoreReader
from app.state.codec import read, readable
from app.state.keys import CONTAINERS, OPERATIONS, operation_key


@dataclass(frozen=True)
class Recorded:
    """An operation as recorded, and the revision of its record for compare-and-set."""

    operation: Operation
    revision: int


@dataclass(frozen=True)
class OperationRecords:
    """Reads the operations of all nodes. Whether the process of one still lives is not looked at here."""

    store: StoreReader

    def find(self, family: str, resource: str = CONTAINERS) -> Recorded | None:
        """The operation on a family, or None; UnreadableRecord if nobody knows which it is."""
        entry = self.store.get(operation_key(resource, family))
        return Recorded(read(Operation, entry), entry.revision) if entry else None

    def running(self, family: str, resource: str = CONTAINERS) -> Operation | None:
        """The operation on a family without its revision, or None."""
        found = self.find(family, resource)
        return found.operation if found else None

    def all(self) -> Sequence[Recorded]:
        """Every operation of every node, as far as they can be read."""
        found = readable(Operation, self.store.list(OPERATIONS))
        return [Recorded(operation, entry.revision) for entry, operation in found]

    def all_running(self) -> list[Operation]:
        """Every operation of every node, without revisions."""
        return [found.operation for found in self.all()]

    def ensure_idle(self, family: str, resource: str = CONTAINERS) -> None:
        """Raise OperationRunning, or OperationStuck, if another operation on the family has not ended."""
        if operation := self.running(family, resource):
            raise busy(operation)


def orphaned(operation: Operation, node: str, host: Host) -> bool:
    """Tell if an operation of `node`, that is of `host`, has lost its process; a stuck one waits for an operator."""
    return operation.node == node and not operation.stuck and not host.process_alive(operation.owner)


def busy(operation: Operation) -> OperationRunning:
    """The refusal of a request that met another operation on the same family."""
    details = {"kind": operation.kind, "operation": operation.id}
    if operation.stuck:
        return OperationStuck(
            Text(
                "{family} is blocked by an operation ({kind}) that can neither be finished nor undone: {why}; "
                "see gpudock operation show {id}",
                family=operation.family,
                kind=Text(operation.kind),
                why=operation.stuck,
                id=operation.id,
            ),
            **details,
        )
    return OperationRunning(
        Text(
            "another operation ({kind}) on {family} is running; try again when it has ended",
            kind=Text(operation.kind),
            family=operation.family,
        ),
        **details,
    )
