"""The ways out for an operation that is stuck: finish it, undo it, or forget it; each is told before it is gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Conflict, NotResolvable, OnAnotherNode
from app.model.messages import Text
from app.operations.base import Resolution, WaysOut
from app.operations.journal import Journal
from app.operations.queries import Operations, OperationView
from app.operations.registry import Registry
from app.state.operations import OperationRecords, Recorded


@dataclass(frozen=True)
class Resolver:
    """Resolves stuck operations of one node, as an operator chooses."""

    node: str
    records: OperationRecords
    registry: Registry
    journal: Journal
    operations: Operations

    def ways_out(self, identity: str) -> WaysOut:
        """Tell how a stuck operation can be resolved, and what each way will do; nothing is changed.

        Raises OperationNotFound, NotResolvable for one that is not stuck, OnAnotherNode.
        """
        operation = self._stuck(identity).operation
        return self.registry.kind(operation).ways_out(operation)

    def effects(self, identity: str, resolution: Resolution) -> Sequence[Text]:
        """Tell what one way out will do; NotResolvable, with the reason, if it is none for this operation."""
        way = self.ways_out(identity)[resolution]
        if way.refusal:
            raise NotResolvable(way.refusal, operation=identity)
        return way.effects

    def resolve(self, identity: str, resolution: Resolution) -> OperationView:
        """Take one way out; what became of the operation.

        Raises what `effects` raises, and what keeps the way from being gone: the operation is as stuck as before then.
        """
        found = self._stuck(identity)
        way = self.registry.kind(found.operation).ways_out(found.operation)[resolution]
        if way.refusal:
            raise NotResolvable(way.refusal, operation=identity)
        handle = self.journal.take(found)
        if handle is None:
            raise Conflict(Text("somebody else is resolving the operation in this moment; look at it again"))
        way.act(handle)
        return self.operations.one(identity)

    def _stuck(self, identity: str) -> Recorded:
        found = next((each for each in self.records.all() if each.operation.id == identity), None)
        if found is None:
            view = self.operations.one(identity)  # raises OperationNotFound if it never was
            raise NotResolvable(Text("the operation is {state} already; nothing was changed", state=Text(view.state)))
        if found.operation.node != self.node:
            node = found.operation.node
            raise OnAnotherNode(Text("the operation is on node {node}; ask there", node=node), node=node)
        if not found.operation.stuck:
            raise NotResolvable(
                Text("the operation is not stuck; wait for its end, or cancel it if it is not of use any more")
            )
        return found
