"""Keys that callers give to requests, so that a repetition is answered from the store instead of done again.

A key is claimed in etcd before the work begins and holds the answer afterwards, for LIFETIME. Every write compares
the revision of the claim. When etcd goes away in between, the write is repeated in the background until it is back;
repetitions are refused (FirstStillRuns) only as long as that. If the process dies first, its claim is void.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog

from app.errors import AnswerNotKept, FirstStillRuns, KeyReused, OnAnotherNode, OutcomeUnknown, Unavailable
from app.model.messages import Text
from app.model.operation import new_id, now
from app.model.record import Longest, Record
from app.ports import Delete, Entry, Host, Put, Store
from app.state.codec import encode, read
from app.state.keys import IDEMPOTENCY
from app.state.schema_version import SchemaVersion

log = structlog.get_logger()
LIFETIME = timedelta(hours=24)
MAX_STORED = 512 << 10
_AT_ONCE = 128
_RETRY = 0.5


@dataclass(frozen=True)
class KeyRecord(Record):
    """A key that a request has: the request's fingerprint, who runs it, and since when (ISO 8601 in UTC).

    `claim` tells two attempts of the same process apart. `state` is "running", or "done" in an AnsweredKey.
    """

    fingerprint: str
    node: str
    owner: str
    claim: str
    created: str
    state: str = "running"


@dataclass(frozen=True, kw_only=True)
class AnsweredKey(KeyRecord):
    """A key whose request was done. `body` is None if it was too large to be kept."""

    status: int
    body: Annotated[str, Longest(MAX_STORED)] | None = None
    location: str | None = None


@dataclass(frozen=True)
class StoredAnswer:
    """Hold an answer to a caller: a status number, a text, and the address of what the request started, if any."""

    status: int
    body: str
    location: str | None = None


@dataclass(frozen=True)
class KeyClaim:
    """A key in the hands of the one request that runs; it ends with `keep` or `release`."""

    path: str
    record: KeyRecord
    revision: int


def fingerprint(method: str, path: str, query: str, body: bytes) -> str:
    """A hash that two requests share only if they are the same, byte for byte."""
    return hashlib.sha256(json.dumps([method, path, query]).encode() + body).hexdigest()


class Idempotency:
    """Claims keys, keeps answers, and forgets both after LIFETIME."""

    def __init__(self, store: Store, host: Host, node: str) -> None:
        self._store = store
        self._host = host
        self._node = node
        self._layout = SchemaVersion(store)

    def begin(self, key: str, request: str) -> KeyClaim | StoredAnswer:
        """Claim `key` for the request with this fingerprint, or return the answer that it got before.

        Raises KeyReused, FirstStillRuns or AnswerNotKept; OnAnotherNode if a process there has the key; Unavailable if
        etcd is down, and then nothing stays claimed.
        """
        path = IDEMPOTENCY + hashlib.sha256(key.encode()).hexdigest()
        self._layout.ensure()
        self._trim(path)
        while (found := self._attempt(path, request)) is None:
            pass  # another request was faster, so there is something else to find now
        return found

    def keep(self, claim: KeyClaim, answer: StoredAnswer) -> None:
        """Store the answer. One that needs more than MAX_STORED bytes is left out, which `begin` then tells."""
        body = answer.body if len(json.dumps(answer.body)) <= MAX_STORED else None
        told = {"state": "done", "status": answer.status, "body": body, "location": answer.location}
        self._end(claim, Put(claim.path, encode(AnsweredKey(**{**vars(claim.record), **told}))))

    def release(self, claim: KeyClaim) -> None:
        """Give the key back without an answer: the next request with it runs."""
        self._end(claim, Delete(claim.path))

    def _attempt(self, path: str, request: str) -> KeyClaim | StoredAnswer | None:
        entry = self._store.get(path)
        if entry is None or _expired(entry):
            return self._claim(path, request, entry)
        record = _read(entry)
        if record.fingerprint != request:
            raise KeyReused(
                Text("this Idempotency-Key came with another request before; use a new key for a new request")
            )
        if isinstance(record, AnsweredKey):
            return _answer(record)
        # How far a dead process came is unknown, but its operation was or will be undone or finished by the
        # journal, so the request runs anew and meets whatever came of it.
        if self._dead(record):
            return self._claim(path, request, entry)
        if record.node != self._node:
            message = Text(
                "the first request with this Idempotency-Key runs on node {node}; ask there", node=record.node
            )
            raise OnAnotherNode(message, node=record.node)
        raise FirstStillRuns(Text("the first request with this Idempotency-Key still runs; repeat it in a moment"))

    def _claim(self, path: str, request: str, before: Entry | None) -> KeyClaim | None:
        record = KeyRecord(request, self._node, self._host.own_token(), claim=new_id(), created=now())
        put = Put(path, encode(record))
        try:
            revision = self._store.transact({path: before.revision if before else 0}, [put])
        except OutcomeUnknown as exc:
            _in_background(lambda: self._withdraw(path, record), exc)
            raise
        return KeyClaim(path, record, revision) if revision is not None else None

    def _withdraw(self, path: str, record: KeyRecord) -> None:
        """Undo a claim of which it is unknown whether it was made."""
        entry = self._store.get(path)
        if entry is not None and entry.value == encode(record):
            self._store.transact({path: entry.revision}, [Delete(path)])

    def _end(self, claim: KeyClaim, write: Put | Delete) -> None:
        """Write the end of a claim. The caller's work is done, so etcd being away is not the caller's trouble."""

        def attempt() -> None:
            # None is fine: an earlier attempt came through after all, or the claim expired.
            self._store.transact({claim.path: claim.revision}, [write])

        try:
            attempt()
        except Unavailable as exc:
            _in_background(attempt, exc)

    def _dead(self, record: KeyRecord) -> bool:
        """Tell if the process at work died; of another node's that cannot be told."""
        return record.node == self._node and not self._host.process_alive(record.owner)

    def _trim(self, path: str) -> None:
        """Forget expired records in one of 256 parts of all, that of `path`: each gets its turn now and then."""
        part = self._store.list(path[: len(IDEMPOTENCY) + 2])
        old = [entry for entry in part if _expired(entry)][:_AT_ONCE]
        if old:
            self._store.transact({entry.key: entry.revision for entry in old}, [Delete(entry.key) for entry in old])


def _read(entry: Entry) -> KeyRecord:
    return read(AnsweredKey if entry.value.get("state") == "done" else KeyRecord, entry)


def _expired(entry: Entry) -> bool:
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(entry.value["created"])
    except (KeyError, TypeError, ValueError):  # whoever looks for that key is told
        return False
    return age > LIFETIME


def _answer(record: AnsweredKey) -> StoredAnswer:
    if record.body is None:
        message = Text(
            "the request was done before, with status {status}, but its answer was too large to be kept",
            status=record.status,
        )
        raise AnswerNotKept(message, status=record.status, location=record.location)
    return StoredAnswer(record.status, record.body, record.location)


def _in_background(action: Callable[[], None], reason: Unavailable) -> None:
    """Repeat `action` until etcd answers."""
    log.warning("the end of an idempotency key waits for etcd", reason=reason.message)
    threading.Thread(target=_patiently, args=(action,), daemon=True).start()


def _patiently(action: Callable[[], None]) -> None:
    while True:
        time.sleep(_RETRY)
        try:
            return action()
        except Unavailable:
            continue
