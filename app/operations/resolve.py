"""The ways out for an operation that is stuck: finish it, undo it, or forget it; each is told before it is gone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from app.errors import Cancelled, Conflict, DomainError, NotResolvable, OnAnotherNode, Unavailable
from app.model.messages import Text
from app.model.operation import Operation, State
from app.operations.base import Resolution, WayOut, WaysOut
from app.operations.effects import freed, only_forget, still_running
from app.operations.handle import Failure, OperationHandle
from app.operations.journal import Journal
from app.operations.queries import Operations, OperationView
from app.operations.reader import Reader
from app.operations.registry import Registry
from app.operations.requester import requester
from app.state.containers import Records
from app.state.operations import Recorded

_NOTHING = Text("changes nothing in Docker: there is nothing of it")
log = structlog.get_logger()


@dataclass(frozen=True)
class Resolver:
    """Resolves stuck operations of one node as an operator chooses; `alive` tells if another node lives."""

    reader: Reader
    registry: Registry
    journal: Journal
    operations: Operations
    alive: Callable[[str], bool]

    def waits(self, view: OperationView) -> bool:
        """Tell if an operation waits for somebody to resolve it: it is stuck, or runs on a node that is gone."""
        node = view.operation.node
        gone = view.state == State.RUNNING and node != self.reader.node and not self.alive(node)
        return view.state == State.STUCK or gone

    def ways_out(self, identity: str) -> WaysOut:
        """Tell how an operation can be resolved, and what each way will do; nothing is changed.

        Of another node's, which that node resolves, all that can be done here is to forget them once it is gone.
        Raises OperationNotFound, OnAnotherNode, NotResolvable for one that is not stuck.
        """
        found = self._ways_out(self._resolvable(identity).operation)
        return {how: replace(way, effects=way.effects or [_NOTHING]) for how, way in found.items()}

    def effects(self, identity: str, resolution: Resolution) -> Sequence[Text]:
        """Tell what one way out will do; NotResolvable, with the reason, if it is none for this operation."""
        return _possible(self.ways_out(identity)[resolution], identity).effects

    def resolve(self, identity: str, resolution: Resolution) -> OperationView:
        """Take one way out; what became of the operation.

        Raises what `effects` raises, and what keeps the way from being gone: the operation is as stuck as before then.
        """
        found = self._resolvable(identity)
        way = _possible(self._ways_out(found.operation)[resolution], identity)
        asking, failure = requester(), Failure(_chosen(resolution, found.operation), Cancelled.code)
        log.warning("resolving operation", operation=identity, how=resolution, by=asking.by, who=asking.who)
        if not self.journal.resolve(found, way.act, failure):
            raise Conflict(Text("somebody else is resolving the operation in this moment; look at it again"))
        return self.operations.one(identity)

    def _resolvable(self, identity: str) -> Recorded:
        found = next((each for each in self.reader.operations.all() if each.operation.id == identity), None)
        if found is None:
            view = self.operations.one(identity)  # raises OperationNotFound if it never was
            raise NotResolvable(Text("the operation is {state} already; nothing was changed", state=Text(view.state)))
        node = found.operation.node
        if node != self.reader.node and self.alive(node):
            raise OnAnotherNode(Text("the operation is on node {node}; ask there", node=node), node=node)
        if node == self.reader.node and not found.operation.stuck:
            raise NotResolvable(
                Text("the operation is not stuck; wait for its end, or cancel it if it is not of use any more")
            )
        return found

    def _ways_out(self, operation: Operation) -> WaysOut:
        if operation.node != self.reader.node:
            return self._of_gone_node(operation)
        try:
            return self.registry.kind(operation).ways_out(operation)
        except Unavailable:
            raise
        except DomainError as exc:  # its record or its kind is beyond what this gpudock understands
            return self._only_forget(operation, exc.message)

    def _of_gone_node(self, operation: Operation) -> WaysOut:
        node = operation.node
        left = Text(
            "leaves on node {node} what is there: do this only if it is gone for good, or its containers are stopped; "
            "should it come back, it removes what nobody knows",
            node=node,
        )
        forget = WayOut([left, *self._freed(operation)], self._forget)
        return only_forget(forget, Text("node {node} does not answer, and only there this can be done", node=node))

    def _only_forget(self, operation: Operation, why: str) -> WaysOut:
        made = self.reader.containers.list(operation=operation.id)
        refusal = still_running([observed.name for observed in made if observed.running])
        left = Text("leaves everything in Docker as it is")
        forget = WayOut([left, *self._freed(operation)], self._forget, refusal)
        return only_forget(forget, Text("it is not known how: {why}", why=why))

    def _forget(self, handle: OperationHandle) -> None:
        handle.end_undone(self._claims(handle.operation).release_held(handle.operation))

    def _freed(self, operation: Operation) -> list[Text]:
        return freed(*self._claims(operation).held_by(operation))

    def _claims(self, operation: Operation) -> Records:
        return Records(self.reader.store, operation.node)


def _possible(way: WayOut, identity: str) -> WayOut:
    if way.refusal:
        raise NotResolvable(way.refusal, operation=identity)
    return way


def _chosen(resolution: Resolution, operation: Operation) -> Text:
    """Say, for the history, that somebody wanted it so."""
    why = operation.stuck or Text("node {node} is gone", node=operation.node)
    if resolution is Resolution.FINISH:
        return Text("it was stuck, and somebody chose to finish it: {why}", why=why)
    if resolution is Resolution.UNDO:
        return Text("it was stuck, and somebody chose to undo it: {why}", why=why)
    return Text("it was stuck, and somebody chose to forget it: {why}", why=why)
