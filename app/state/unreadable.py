"""Find the records in etcd that cannot be read, and what they are about."""

import threading
import time
from collections.abc import Iterator, Sequence

from app.errors import UnreadableRecord
from app.model.container import FamilyRecord, VersionRecord
from app.model.gpu import Holder
from app.model.gpu_health import LostInside, OutOfService
from app.model.messages import Text
from app.model.node import NodeAgent, NodeContact, NodeLeader
from app.model.operation import Operation, PastOperation
from app.model.record import Record
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import Entry, Store
from app.state import codec, keys
from app.state.idempotency import AnsweredKey, KeyRecord
from app.state.notes import AcceptedState, Cancellation, NewestOperation, RestoredState, Restoring

# For how many seconds what was found counts: pages ask every few seconds.
_FRESH = 5.0
_OF_NODES: dict[str, type[Record]] = {"": NodeContact, "reconciler": NodeLeader, "agent": NodeAgent}
_BY_PREFIX: tuple[tuple[str, type[Record]], ...] = (
    (keys.OPERATIONS, Operation),
    (keys.HISTORY, PastOperation),
    (keys.FAULTS, LostInside),
    (keys.GPUS, Holder),
    (keys.PORTS, Holder),
    (keys.HEALTH, OutOfService),
    (keys.CANCELLATIONS, Cancellation),
    (keys.NEWEST, NewestOperation),
    (keys.ACCEPTED, AcceptedState),
    (keys.RESTORED, RestoredState),
    (keys.RESTORING, Restoring),
)


def unreadable(entries: Sequence[Entry]) -> Iterator[UnreadableRecord]:
    """Tell which of the entries cannot be read, in their order; so does a family without its newest version.

    What nodes report to each other is left out: each node writes that anew by itself.
    """
    known = {entry.key for entry in entries}
    for entry in entries:
        try:
            _check(entry, known)
        except UnreadableRecord as exc:
            yield exc


def unclear_families(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Return each resource and family of which a record, or the running operation, cannot be read.

    Nobody knows what such a family has, or is to have.
    """
    about = (keys.families_prefix(keys.CONTAINERS), keys.families_prefix(keys.VOLUMES), keys.OPERATIONS)
    stored = [entry for entry in entries if entry.key.startswith(about)]
    return {keys.family_of(problem.key) for problem in unreadable(stored)}


def headless(key: str, newest: int) -> UnreadableRecord:
    """Return the error for the record of a family whose newest version has none."""
    return codec.unreadable(key, Text("its newest version, {version}, is not on record", version=newest))


def _check(entry: Entry, known: set[str]) -> None:
    cls = _class_of(entry)
    record = codec.read(cls, entry) if cls else None
    if isinstance(record, FamilyRecord | VolumeFamily):
        resource, family = keys.family_of(entry.key)
        if keys.version_key(resource, family, record.current) not in known:
            raise headless(entry.key, record.current)


class UnreadableRecords:
    """Looks through everything that etcd holds, every few seconds at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: tuple[float, tuple[UnreadableRecord, ...]] = (float("-inf"), ())

    def all(self) -> tuple[UnreadableRecord, ...]:
        """Every record that cannot be read, by key; one that was damaged in the last seconds may be missing."""
        with self._lock:
            moment, found = self._found
            if time.monotonic() - moment >= _FRESH:
                found = tuple(unreadable(self._store.list("/")))
                self._found = (time.monotonic(), found)
            return found


def _class_of(entry: Entry) -> type[Record] | None:
    """The class of the record at a key; None if there is none to read."""
    for resource, family, version in (
        (keys.CONTAINERS, FamilyRecord, VersionRecord),
        (keys.VOLUMES, VolumeFamily, VolumeRecord),
    ):
        if entry.key.startswith(keys.families_prefix(resource)):
            return version if keys.is_version(entry.key) else family
    if entry.key.startswith(keys.NODES):
        return _OF_NODES.get(entry.key.removeprefix(keys.NODES).partition("/")[2])
    if entry.key.startswith(keys.IDEMPOTENCY):
        return AnsweredKey if entry.value.get("state") == "done" else KeyRecord
    return next((cls for prefix, cls in _BY_PREFIX if entry.key.startswith(prefix)), None)
