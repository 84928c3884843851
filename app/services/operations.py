"""Running and past operations, for those who watch them or want them cancelled."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.operations import Operation, now
from app.errors import NotCancellable, OperationNotFound
from app.ports import Entry, Put, Store
from app.services.journal import Journal
from app.services.keys import HISTORY, OPERATIONS, cancellation_key, operation_key

STATES = ("running", "done", "undone")
# These are always finished, since they take away what cannot be put back, or cannot be stopped half way.
_ALWAYS_FINISHED = ("delete", "stop", "start", "commit")
_PATIENCE = 30.0


@dataclass(frozen=True)
class OperationView:
    """An operation and what became of it: `state` is one of STATES, `error` says why it was undone."""

    operation: Operation
    state: str = "running"
    ended: str | None = None
    error: str | None = None

    @property
    def cancellable(self) -> bool:
        """Whether it may still be cancelled, as far as one can see: it may pass its commit point any moment."""
        return self.state == "running" and self.operation.kind not in _ALWAYS_FINISHED


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
        self, state: str | None = None, name: str | None = None, limit: int = 100, after: str | None = None
    ) -> OperationPage:
        """At most `limit` operations older than the one with id `after`: in that state, on what is so named in part."""
        found = []
        for view in self._views():
            operation = view.operation
            wanted = state in (None, view.state) and (name is None or name in operation.name)
            if wanted and (after is None or operation.id < after):
                found.append(view)
        found.sort(key=lambda view: view.operation.id, reverse=True)
        more = found[limit - 1].operation.id if len(found) > limit else None
        return OperationPage(tuple(found[:limit]), more)

    def one(self, identity: str) -> OperationView:
        """The operation with that id; OperationNotFound if there is none, or it was long ago."""
        # Running ones first: what ends in between is in the history by then.
        for entry in self._store.list(OPERATIONS):
            if entry.value["id"] == identity:
                return _running(entry)
        entry_ = self._store.get(HISTORY + identity)
        if entry_ is None:
            raise OperationNotFound(f"there is no operation {identity[:60]!r}; GET /api/v1/operations lists them")
        return _ended(entry_)

    def cancel(self, identity: str) -> OperationView:
        """Have an operation undone that is before its commit point; what became of it within 30 seconds.

        Raises NotCancellable for one that has ended or is of a kind that is always finished.
        """
        while (view := self.one(identity)).state == "running":
            operation = view.operation
            if not view.cancellable:
                raise NotCancellable(f"a {operation.kind} is always finished; wait for its end", kind=operation.kind)
            if self._ask(operation):
                return self._await_end(operation)
        raise NotCancellable(f"the operation is {view.state} already; nothing was changed", state=view.state)

    def _ask(self, operation: Operation) -> bool:
        """Leave the request where the operation's owner looks before its commit; False if it moved on meanwhile."""
        key = operation_key(operation.resource, operation.family)
        entry = self._store.get(key)
        if entry is None or entry.value["id"] != operation.id:
            return False
        request = Put(cancellation_key(operation.id), {"schema": 1, "asked": now()})
        return self._store.transact({key: entry.revision}, [request]) is not None

    def _await_end(self, operation: Operation) -> OperationView:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self._journal.running(operation.family, operation.resource)  # settles it if its process is dead
            if (view := self.one(operation.id)).state != "running":
                return view
            time.sleep(0.1)
        return self.one(operation.id)

    def _views(self) -> Iterator[OperationView]:
        yield from map(_running, self._store.list(OPERATIONS))
        yield from map(_ended, self._store.list(HISTORY))


def _running(entry: Entry) -> OperationView:
    return OperationView(Operation.from_json(entry.value))


def _ended(entry: Entry) -> OperationView:
    raw = {key: value for key, value in entry.value.items() if key not in ("ended", "outcome", "error")}
    return OperationView(Operation.from_json(raw), entry.value["outcome"], entry.value["ended"], entry.value["error"])
