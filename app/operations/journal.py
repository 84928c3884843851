"""The operations' journal: intent first, one commit transaction, and what to do when something breaks between.

An operation's record is the mutex of its family, and fences every write of the operation (`live`). What is not
committed is settled from the record alone, by this process or by any other that meets it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from app.errors import DomainError, Fenced, OperationRunning, OutcomeUnknown, Unavailable
from app.model.messages import Text
from app.model.operation import Operation, new_id, now
from app.operations import hooks
from app.operations.handle import Failure, OperationHandle
from app.operations.requester import requester
from app.ports import Delete, Host, Put, Store
from app.state.codec import encode, read, readable
from app.state.keys import CONTAINERS, HISTORY, OPERATIONS, newest_key, operation_key
from app.state.notes import NewestOperation
from app.state.schema_version import SchemaVersion

log = structlog.get_logger()
HISTORY_LENGTH = 1000
_RETRY = 0.5
_retrying = Retrying(
    retry=retry_if_result(lambda live: live is None),
    wait=wait_random_exponential(multiplier=0.002, max=0.25),
    stop=stop_after_delay(10),
)

Recovery = Callable[[OperationHandle], None]


class Journal:
    """Begins operations, and settles those that broke: in this process or left behind by a dead one."""

    # Keeps this process's own threads from beating each other. Correctness is etcd's alone, so nobody
    # waits long for it: a part that is down must not make requests queue up behind it.
    _turn = threading.Lock()

    def __init__(self, store: Store, host: Host, node: str, gate: Callable[[], None] = lambda: None) -> None:
        """`gate` raises while nothing may be begun, nor taken over from dead processes."""
        self._gate = gate
        self._store = store
        self._host = host
        self._node = node
        self._layout = SchemaVersion(store)
        self._recoveries: dict[tuple[str, str], Recovery] = {}

    def register(self, kind: str, recovery: Recovery, resource: str = CONTAINERS) -> None:
        """Tell how an unfinished operation of `kind` on a `resource` is brought to its end, undone or finished.

        A recovery needs the record only, may be repeated, and ends the operation in the journal.
        """
        self._recoveries[resource, kind] = recovery

    @property
    def kinds(self) -> set[str]:
        """The kinds of operations that it can settle."""
        return {kind for _, kind in self._recoveries}

    @property
    def owner(self) -> str:
        """The token of this process, for new operations."""
        return self._host.own_token()

    def operation(self, kind: str, family: str, version: int, resource: str = CONTAINERS) -> Operation:
        """A new operation of this process and node, claiming nothing; for whoever asks for what this thread does."""
        requester_now = requester()
        return Operation(
            id=new_id(),
            kind=kind,
            family=family,
            version=version,
            node=self._node,
            owner=self.owner,
            started=now(),
            resource=resource,
            by=requester_now.by,
            who=requester_now.who,
            request=requester_now.request,
        )

    def ensure_idle(self, family: str, resource: str = CONTAINERS) -> None:
        """OperationRunning if another operation on the family has not ended."""
        if operation := self.running(family, resource):
            raise busy(operation)

    def running(self, family: str, resource: str = CONTAINERS) -> Operation | None:
        """The family's running operation, or None; one whose process died is settled first."""
        entry = self._store.get(operation_key(resource, family))
        if entry is None:
            return None
        operation = read(Operation, entry)
        if not self._orphaned(operation):
            return operation
        self._take_over(operation, entry.revision)
        return None

    def all_running(self) -> list[Operation]:
        """Every running operation of every node."""
        return [operation for _, operation in readable(Operation, self._store.list(OPERATIONS))]

    def settle_orphans(self) -> int:
        """Settle every operation of this node whose process died; how many there were."""
        running = readable(Operation, self._store.list(OPERATIONS))
        orphans = [(operation, entry.revision) for entry, operation in running if self._orphaned(operation)]
        for operation, revision in orphans:
            self._take_over(operation, revision)
        return len(orphans)

    def begin(
        self, operation: Operation, expected: Mapping[str, int], writes: Sequence[Put | Delete] = ()
    ) -> OperationHandle | None:
        """Write the intent and its claims in one transaction, if each key of `expected` has that revision.

        None if something changed meanwhile: the caller plans again.
        """
        self._gate()
        self._layout.ensure()
        key = operation_key(operation.resource, operation.family)
        put = Put(key, encode(operation))
        newest = Put(newest_key(operation.node), encode(NewestOperation(operation.id)))
        try:
            revision = self._store.transact({**expected, key: 0}, [put, newest, *writes])
        except OutcomeUnknown as exc:
            self._settle_in_background(operation, Failure.of(exc))
            raise
        if revision is None:
            return None
        hooks.begun(operation)
        return OperationHandle(self._store, operation, revision)

    def compete(self, attempt: Callable[[], OperationHandle | None]) -> OperationHandle:
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
    def guard(self, live: OperationHandle) -> Iterator[None]:
        """Settle the operation if the block does not end well, whatever the reason."""
        try:
            yield
        except Unavailable as exc:  # the caller is not kept waiting for a part that is down
            self._settle_in_background(live.operation, Failure.of(exc))
            raise
        except BaseException as exc:
            self.settle(live.operation, Failure.of(exc))
            raise

    def settle(self, operation: Operation, failure: Failure) -> None:
        """Bring an operation of this process to its end; goes on in the background while a part is down."""
        try:
            self._settle_once(operation, failure)
        except DomainError:
            self._settle_in_background(operation, failure)

    def _settle_in_background(self, operation: Operation, failure: Failure) -> None:
        log.warning("operation waits for a part to come back", operation=operation.id, reason=failure.reason)
        threading.Thread(target=self._settle_patiently, args=(operation, failure), daemon=True).start()

    def _settle_patiently(self, operation: Operation, failure: Failure) -> None:
        pause = _RETRY
        while True:
            time.sleep(pause)
            try:
                return self._settle_once(operation, failure)
            except DomainError as exc:
                log.warning("operation not settled yet", operation=operation.id, reason=exc.message)
                pause = _RETRY if isinstance(exc, Unavailable) else min(2 * pause, 30)

    def _settle_once(self, operation: Operation, failure: Failure) -> None:
        entry = self._store.get(operation_key(operation.resource, operation.family))
        if entry is None or (entry.value.get("id"), entry.value.get("owner")) != (operation.id, operation.owner):
            return
        self._recover(OperationHandle(self._store, read(Operation, entry), entry.revision, failure))

    def _take_over(self, operation: Operation, revision: int) -> None:
        """Make a dead process's operation ours, then settle it; a rival that was faster does it instead."""
        self._gate()
        ours = operation.owned_by(self.owner)
        key = operation_key(ours.resource, ours.family)
        if self._store.transact({key: revision}, [Put(key, encode(ours))]) is not None:
            self.settle(ours, Failure(Text("its process died")))

    def _recover(self, live: OperationHandle) -> None:
        operation = live.operation
        log.warning("settling operation", operation=operation.id, kind=operation.kind, reason=live.failure.reason)
        try:
            self._recoveries[operation.resource, operation.kind](live)
        except Fenced:
            log.warning("operation was taken over", operation=live.operation.id)

    def _orphaned(self, operation: Operation) -> bool:
        return operation.node == self._node and not self._host.process_alive(operation.owner)

    def trim_history(self) -> None:
        """Now and then, forget the oldest finished operations beyond HISTORY_LENGTH."""
        if random.random() < 0.02:
            for entry in self._store.list(HISTORY)[:-HISTORY_LENGTH]:
                self._store.transact({}, [Delete(entry.key)])


def busy(operation: Operation) -> OperationRunning:
    """The refusal of a request that met another operation on the same family."""
    return OperationRunning(
        Text(
            "another operation ({kind}) on {family} is running; try again when it has ended",
            kind=Text(operation.kind),
            family=operation.family,
        ),
        kind=operation.kind,
        operation=operation.id,
    )
