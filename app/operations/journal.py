"""The operations' journal: intent first, one commit transaction, and what to do when something breaks between.

An operation's record is the mutex of its family, and fences every write of the operation (`handle`). What is not
committed is recovered from the record alone, by this process or by any other that meets it. A recovery that keeps
failing ends as `stuck`: nobody tries any more, and an operator resolves it (`resolve`).
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import structlog
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from app.errors import DomainError, Fenced, OperationFailed, OperationRunning, OutcomeUnknown, Unavailable
from app.model.messages import Text
from app.model.operation import Operation
from app.operations.base import Plan
from app.operations.handle import Failure, OperationHandle
from app.operations.registry import Registry
from app.ports import Delete, Host, Put, Store
from app.state.codec import encode
from app.state.keys import HISTORY, newest_key, operation_key
from app.state.notes import NewestOperation
from app.state.operations import OperationRecords, Recorded, orphaned
from app.state.schema_version import SchemaVersion

log = structlog.get_logger()
T = TypeVar("T")
HISTORY_LENGTH = 1000
# Seconds between tries to recover: the first pause, and the longest one while a recovery fails.
_RETRY, _LONGEST_PAUSE = 0.5, 30.0
# So many recoveries may fail, by any processes, until the operation is stuck; with the pauses that takes a minute.
MAX_TRIES = 8
_retrying = Retrying(
    retry=retry_if_result(lambda begun: begun is None),
    wait=wait_random_exponential(multiplier=0.002, max=0.25),
    stop=stop_after_delay(10),
)


class Journal:
    """Begins operations, and recovers those that broke: in this process or left behind by a dead one."""

    # Keeps this process's own threads from beating each other. Correctness is etcd's alone, so nobody
    # waits long for it: a part that is down must not make requests queue up behind it.
    _turn = threading.Lock()

    def __init__(
        self, store: Store, host: Host, node: str, registry: Registry, gate: Callable[[], None] = lambda: None
    ) -> None:
        """`gate` raises while nothing may be begun, nor taken over from dead processes."""
        self._store = store
        self._host = host
        self._node = node
        self._registry = registry
        self._gate = gate
        self._schema = SchemaVersion(store)
        self._records = OperationRecords(store)

    def begin(self, plan: Plan) -> OperationHandle | None:
        """Write the intent and its claims in one transaction, if what the plan rests on is still so.

        None if something changed meanwhile: the caller plans again.
        """
        self._gate()
        self._schema.ensure()
        operation = plan.operation
        key = operation_key(operation.resource, operation.family)
        put = Put(key, encode(operation))
        newest = Put(newest_key(operation.node), encode(NewestOperation(operation.id)))
        try:
            revision = self._store.transact({**plan.expected, key: 0}, [put, newest, *plan.writes])
        except OutcomeUnknown as exc:
            self._recover_in_background(operation, Failure.of(exc))
            raise
        return None if revision is None else OperationHandle(self._store, operation, revision)

    def retry_until_claimed(self, attempt: Callable[[], T | None]) -> T:
        """Repeat `attempt` (plan, then begin) until it begins, backing off with full jitter.

        Raises OperationRunning if rivals won every time for ten seconds.
        """
        ours = self._turn.acquire(timeout=0.3)
        try:
            return _retrying(attempt)  # type: ignore[return-value]  # None is retried
        except RetryError as exc:
            raise OperationRunning(Text("too many requests compete for the same things; try again")) from exc
        finally:
            if ours:
                self._turn.release()

    @contextmanager
    def recover_on_failure(self, handle: OperationHandle) -> Iterator[None]:
        """Bring the operation to its end if the block does not end well, whatever the reason."""
        try:
            yield
        except Unavailable as exc:  # the caller is not kept waiting for a part that is down
            self._recover_in_background(handle.operation, Failure.of(exc))
            raise
        except BaseException as exc:
            self.recover(handle.operation, Failure.of(exc))
            raise

    def recover(self, operation: Operation, failure: Failure) -> None:
        """Bring an operation of this process to its end; goes on in the background while that fails."""
        try:
            self._recover_once(operation, failure)
        except DomainError:
            self._recover_in_background(operation, failure)

    def recover_orphans(self) -> int:
        """Recover every operation of this node whose process died; how many there were."""
        orphans = [found for found in self._records.all() if orphaned(found.operation, self._node, self._host)]
        for found in orphans:
            self._take_over(found)
        return len(orphans)

    def resolve(self, found: Recorded, act: Callable[[OperationHandle], None], failure: Failure) -> bool:
        """Have `act` bring an operation to its end, which counts as running meanwhile; False if a rival was faster.

        `failure` is what the history tells if it is undone. Whatever `act` raises goes on, and the operation is stuck
        again then; unless it has ended, and only something that nobody needs any more could not be removed.
        """
        ours = replace(found.operation.owned_by(self._host.own_token()), stuck=None)
        reason = found.operation.stuck or str(failure.reason)
        try:
            handle = self._take(found, ours, failure)
            if handle is not None:
                act(handle)
        except BaseException as exc:
            if self._stick_again(ours, reason) or not isinstance(exc, DomainError):
                raise
            log.warning("could not tidy up after an operation", operation=ours.id, reason=exc.message)
            return True
        return handle is not None

    def trim_history(self) -> None:
        """Now and then, forget the oldest finished operations beyond HISTORY_LENGTH."""
        if random.random() < 0.02:
            for entry in self._store.list(HISTORY)[:-HISTORY_LENGTH]:
                self._store.transact({}, [Delete(entry.key)])

    def _take_over(self, found: Recorded) -> None:
        """Make a dead process's operation ours, then recover it; a rival that was faster does it instead."""
        ours, failure = found.operation.owned_by(self._host.own_token()), Failure(Text("its process died"))
        try:
            handle = self._take(found, ours, failure)
        except OutcomeUnknown:  # if it is ours, nobody else will recover it as long as we live
            self._recover_in_background(ours, failure)
            raise
        if handle is not None:
            self.recover(ours, failure)

    def _take(self, found: Recorded, ours: Operation, failure: Failure) -> OperationHandle | None:
        """Write an operation as it is in our hands; None if a rival was faster."""
        self._gate()
        key = operation_key(ours.resource, ours.family)
        revision = self._store.transact({key: found.revision}, [Put(key, encode(ours))])
        return None if revision is None else OperationHandle(self._store, ours, revision, failure)

    def _recover_in_background(self, operation: Operation, failure: Failure) -> None:
        log.warning("operation is to be recovered", operation=operation.id, reason=failure.reason)
        _start_patiently(operation, lambda: self._recover_once(operation, failure))

    def _recover_once(self, operation: Operation, failure: Failure) -> None:
        found = self._records.find(operation.family, operation.resource)
        if found is None or found.operation.stuck or not _same(found.operation, operation):
            return
        handle = OperationHandle(self._store, found.operation, found.revision, failure)
        log.warning("recovering operation", operation=operation.id, kind=operation.kind, reason=failure.reason)
        try:
            self._registry.kind(handle.operation).recover(handle)
        except Fenced as exc:
            self._ensure_lost(operation, exc)
        except Unavailable:
            raise  # it is not the recovery's fault
        except Exception as exc:  # a defect must not block the family for ever either
            log.exception("recovery failed", operation=operation.id, exc_info=exc)
            if not handle.note_failed_recovery(Failure.of(exc), MAX_TRIES):
                raise OperationFailed(Text("the recovery failed and is tried again")) from exc
            log.error("operation is stuck", operation=operation.id, reason=Failure.of(exc).reason)

    def _ensure_lost(self, operation: Operation, refused: Fenced) -> None:
        """Leave an operation alone that was taken over; OperationFailed, to try once more, if it is ours after all.

        A write whose outcome was unknown may land late, and moves the record on under the hands that wrote it.
        """
        found = self._records.find(operation.family, operation.resource)
        if found is not None and _same(found.operation, operation):
            raise OperationFailed(Text("the recovery failed and is tried again")) from refused
        log.warning("operation was taken over", operation=operation.id)

    def _stick_again(self, operation: Operation, reason: str) -> bool:
        """Mark an operation of this process as stuck, as soon as etcd can be asked; False if it has ended."""
        try:
            return self._stick(operation, reason)
        except DomainError:
            _start_patiently(operation, lambda: self._stick(operation, reason))
            return True

    def _stick(self, operation: Operation, reason: str) -> bool:
        found = self._records.find(operation.family, operation.resource)
        if found is None or found.operation.id != operation.id:
            return False
        if _same(found.operation, operation):
            OperationHandle(self._store, found.operation, found.revision).mark_stuck(reason)
        return True


def _start_patiently(operation: Operation, work: Callable[[], object]) -> None:
    """Do some work for an operation in the background, again and again until it succeeds."""
    threading.Thread(target=_do_patiently, args=(operation, work), daemon=True).start()


def _do_patiently(operation: Operation, work: Callable[[], object]) -> None:
    pause, done = _RETRY, False
    while not done:
        time.sleep(pause)
        try:
            work()
            done = True
        except DomainError as exc:
            log.warning("operation not recovered yet", operation=operation.id, reason=exc.message)
            pause = _RETRY if isinstance(exc, Unavailable) else min(2 * pause, _LONGEST_PAUSE)


def _same(found: Operation, ours: Operation) -> bool:
    """Tell if what is recorded is that operation, still in the same hands."""
    return (found.id, found.owner) == (ours.id, ours.owner)
