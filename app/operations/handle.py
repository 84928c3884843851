"""An operation in this process's hands: every write of it is fenced by the revision of its record.

A process whose operation was taken over fails its next write (Fenced) and must not touch anything any more.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from app.errors import Cancelled, DomainError, Fenced, OutcomeUnknown, Unavailable
from app.model.messages import Text
from app.model.operation import Operation, State, Step
from app.ports import Delete, Put, Store
from app.state.codec import encode
from app.state.keys import HISTORY, cancellation_key, operation_key

_REPORT_EVERY = 1.0


@dataclass(frozen=True)
class Failure:
    """The reason for which an operation has to be undone, and the code of the error that says so, if it was one."""

    reason: str | None = None
    code: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Take from an error what it tells."""
        if isinstance(error, DomainError):
            return cls(error.message, error.code)
        return cls(str(error) or type(error).__name__)


class OperationHandle:
    """An operation of this process: its record and the revision that fences its writes."""

    def __init__(self, store: Store, operation: Operation, revision: int, failure: Failure | None = None) -> None:
        self._store = store
        self.operation = operation
        self.revision = revision
        self.failure = failure or Failure()
        self._report_at = time.monotonic() + _REPORT_EVERY
        self._uncertain = False

    def step(self, step: Step, layer: str | None = None) -> None:
        """Record that the operation reached a step; Fenced if it is not ours any more."""
        self._update(self.operation.at(step, layer))

    def progress(self, done: int, total: int | None) -> None:
        """Record, once a second at most, how far a copy is; Cancelled or Fenced if it shall not go on.

        An etcd that is away for a while does not end a copy of hours.
        """
        if time.monotonic() < self._report_at:
            return
        self._report_at = time.monotonic() + _REPORT_EVERY
        try:
            self.check()
            self._update(self.operation.copied(done, total))
        except Unavailable:
            self._uncertain = True

    def check(self) -> None:
        """Cancelled if somebody asked for that."""
        if self._store.get(cancellation_key(self.operation.id)) is not None:
            raise Cancelled(Text("the operation was cancelled and undone"), operation=self.operation.id)

    def commit(self, writes: Sequence[Put | Delete], cancellable: bool = False) -> None:
        """The commit point: `writes` and the operation's end in one transaction; Fenced if it is not ours.

        With `cancellable`, Cancelled and nothing written if that was asked for before.
        """
        self._end(writes, State.DONE, Failure(), {cancellation_key(self.operation.id): 0} if cancellable else {})

    def end_undone(self, writes: Sequence[Put | Delete] = ()) -> None:
        """End an operation that was undone, giving up what `writes` release."""
        self._end(writes, State.UNDONE, self.failure, {})

    def note_failed_recovery(self, failure: Failure, at_most: int) -> bool:
        """Count one more failure to bring the operation to its end; True once it is stuck, after `at_most` of them.

        A stuck operation keeps its family and its claims until somebody resolves it; nobody else tries any more.
        """
        tries = self.operation.tries + 1
        stuck = failure.reason if tries >= at_most else None
        self._update(replace(self.operation, tries=tries, stuck=stuck))
        return stuck is not None

    def mark_stuck(self, reason: str) -> None:
        """Leave the operation to an operator, for that reason."""
        self._update(replace(self.operation, stuck=reason))

    def _update(self, operation: Operation) -> None:
        key = operation_key(operation.resource, operation.family)
        self.revision = self._write([Put(key, encode(operation))], {}, self._find_update)
        self.operation = operation

    def _end(self, writes: Sequence[Put | Delete], outcome: State, failure: Failure, also: dict[str, int]) -> None:
        operation = self.operation
        history = encode(operation.past(outcome, failure.reason, failure.code))
        ended = [Delete(operation_key(operation.resource, operation.family)), Delete(cancellation_key(operation.id))]
        self._write([*writes, *ended, Put(HISTORY + operation.id, history)], also, self._find_end)

    def _write(self, writes: Sequence[Put | Delete], also: dict[str, int], find: Callable[[], int | None]) -> int:
        """Write if the operation is still ours; `find` tells after an unknown outcome the revision that it made."""
        key = operation_key(self.operation.resource, self.operation.family)
        if self._uncertain:
            self._find_revision(key)
        try:
            revision = self._store.transact({key: self.revision, **also}, writes)
        except OutcomeUnknown:
            revision = find()
        if revision is None:
            raise self._lost(key)
        return revision

    def _find_revision(self, key: str) -> None:
        """After a report whose outcome is unknown: the record may be one revision further, and still be ours."""
        entry = self._store.get(key)
        if entry is not None and self._is_ours(entry.value):
            self.revision = entry.revision
        self._uncertain = False

    def _find_update(self) -> int | None:
        """After an unknown outcome: the record's revision if the write happened, None if the record is another's.

        Raises Unavailable if it did not happen.
        """
        entry = self._store.get(operation_key(self.operation.resource, self.operation.family))
        if entry is not None and entry.revision == self.revision:
            raise _cut_off()
        return entry.revision if entry is not None and self._is_ours(entry.value) else None

    def _find_end(self) -> int | None:
        """The same of the operation's end, of which only the history tells: an earlier write may have landed late."""
        ended = self._store.get(HISTORY + self.operation.id)
        if ended is not None:
            return ended.revision
        entry = self._store.get(operation_key(self.operation.resource, self.operation.family))
        if entry is not None and self._is_ours(entry.value):
            raise _cut_off()
        return None

    def _lost(self, key: str) -> DomainError:
        """Find out why a write was refused: the operation was cancelled while it was still ours, or taken over."""
        entry = self._store.get(key)
        if entry is not None and entry.revision == self.revision:
            return Cancelled(Text("the operation was cancelled and undone"), operation=self.operation.id)
        return Fenced(Text("the operation was taken over by another process"), operation=self.operation.id)

    def _is_ours(self, raw: dict[str, object]) -> bool:
        return (raw.get("id"), raw.get("owner")) == (self.operation.id, self.operation.owner)


def _cut_off() -> Unavailable:
    return Unavailable("etcd", Text("etcd was cut off during a write; nothing was changed, try again"))
