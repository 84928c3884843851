"""Running and past operations, for those who watch them or want them cancelled."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import NotCancellable, OperationNotFound
from app.model.messages import Text
from app.model.operation import Kind, Operation, PastOperation, State, now
from app.operations.journal import Journal
from app.ports import Entry, Put, Store
from app.state.codec import encode, read, try_read
from app.state.keys import HISTORY, OPERATIONS, cancellation_key, operation_key
from app.state.notes import Cancellation

_NOT_ENDED = (State.RUNNING, State.STUCK)
_PATIENCE = 30.0


@dataclass(frozen=True)
class OperationView:
    """An operation and what became of it; `error` says why it was undone, or is stuck.

    `code` is the error's own, None if there was none; the caller may have been told that of the change as a whole.
    """

    operation: Operation
    state: State | str = State.RUNNING
    ended: str | None = None
    error: str | None = None
    code: int | None = None

    @property
    def cancellable(self) -> bool:
        """Tell if it may still be cancelled, as far as one can see: it may pass its commit point any moment."""
        kind = self.operation.kind
        return self.state == State.RUNNING and not (isinstance(kind, Kind) and kind.always_finished)


@dataclass(frozen=True)
class OperationPage:
    """Some operations, the newest first, and the id after which the next page begins, if any."""

    operations: tuple[OperationView, ...]
    after: str | None


class Operations:
    """Reads the journal, and asks for cancellations."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    def all(
        self,
        state: str | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
        kind: str | None = None,
        node: str | None = None,
        who: str | None = None,
    ) -> OperationPage:
        """At most `limit` operations older than the one with id `after`.

        Only those on what is so named in part, in that state, of that kind and node, and asked for by that name.
        """
        found = []
        for view in self._views(state):
            operation = view.operation
            wanted = state in (None, view.state) and kind in (None, operation.kind)
            wanted = wanted and node in (None, operation.node) and who in (None, operation.who)
            if wanted and (name is None or name in operation.name) and (after is None or operation.id < after):
                found.append(view)
        found.sort(key=lambda view: view.operation.id, reverse=True)
        more = found[limit - 1].operation.id if len(found) > limit else None
        return OperationPage(tuple(found[:limit]), more)

    def of_family(self, resource: str, family: str, limit: int = 20) -> tuple[OperationView, ...]:
        """The last operations on a family, the newest first, the running one before all."""
        subject = (resource, family)
        mine = [view for view in self._views() if (view.operation.resource, view.operation.family) == subject]
        mine.sort(key=lambda view: (view.state in _NOT_ENDED, view.operation.id), reverse=True)
        return tuple(mine[:limit])

    def since(self, begun: str) -> list[OperationView]:
        """The operations that run, and those that ended and have ids after `begun`; the newest first."""
        every = self._store.list(OPERATIONS, HISTORY)
        wanted = (entry for entry in every if entry.key.startswith(OPERATIONS) or entry.key > HISTORY + begun)
        return sorted(_viewed(wanted), key=lambda view: view.operation.id, reverse=True)

    def one(self, identity: str) -> OperationView:
        """The operation with that id; OperationNotFound if there is none, or it was long ago."""
        # Running ones first: what ends in between is in the history by then.
        for entry in self._store.list(OPERATIONS):
            if entry.value.get("id") == identity:
                return _view(read(Operation, entry))
        entry_ = self._store.get(HISTORY + identity)
        if entry_ is None:
            asked = repr(identity[:60])
            raise OperationNotFound(Text("there is no operation {id}; GET /api/v1/operations lists them", id=asked))
        return _view(read(PastOperation, entry_))

    def cancel(self, identity: str) -> OperationView:
        """Have an operation undone that is before its commit point; what became of it within 30 seconds.

        Raises NotCancellable for one that has ended or is of a kind that is always finished.
        """
        while (view := self.one(identity)).state == State.RUNNING:
            operation = view.operation
            if not view.cancellable:
                message = Text("a {kind} is always finished; wait for its end", kind=Text(operation.kind))
                raise NotCancellable(message, kind=operation.kind)
            if self._ask(operation):
                return self._await_end(operation)
        message = Text("the operation is {state} already; nothing was changed", state=Text(view.state))
        raise NotCancellable(message, state=view.state)

    def _ask(self, operation: Operation) -> bool:
        """Leave the request where the operation's owner looks before its commit; False if it moved on meanwhile."""
        key = operation_key(operation.resource, operation.family)
        entry = self._store.get(key)
        if entry is None or entry.value.get("id") != operation.id:
            return False
        request = Put(cancellation_key(operation.id), encode(Cancellation(now())))
        return self._store.transact({key: entry.revision}, [request]) is not None

    def _await_end(self, operation: Operation) -> OperationView:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self._journal.recover_orphans()  # its process may be dead
            if (view := self.one(operation.id)).state != State.RUNNING:
                return view
            time.sleep(0.1)
        return self.one(operation.id)

    def _views(self, state: str | None = None) -> Iterator[OperationView]:
        """Those that may be in that state: the history is long, and most who ask look for running ones only."""
        prefixes = (OPERATIONS, HISTORY) if state is None else (OPERATIONS,) if state in _NOT_ENDED else (HISTORY,)
        return _viewed(self._store.list(*prefixes))


def _viewed(entries: Iterable[Entry]) -> Iterator[OperationView]:
    """The running and past operations that can be read."""
    for entry in entries:
        kind = Operation if entry.key.startswith(OPERATIONS) else PastOperation
        if operation := try_read(kind, entry):
            yield _view(operation)


def _view(operation: Operation) -> OperationView:
    if isinstance(operation, PastOperation):
        return OperationView(operation, operation.outcome, operation.ended, operation.error, operation.code)
    return OperationView(operation, State.STUCK, error=operation.stuck) if operation.stuck else OperationView(operation)
