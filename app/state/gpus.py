"""Keep the records of GPUs out of service. No record of a GPU means that it is in service."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.errors import UnreadableRecord
from app.model.gpu_health import OutOfService
from app.ports import Delete, Entry, Put, Store, StoreReader
from app.state.codec import encode, read
from app.state.keys import health_prefix
from app.state.schema_version import SchemaVersion


@dataclass(frozen=True)
class Recorded:
    """Hold the record of one GPU, None if there is none, and the revision for compare-and-set (0: no record).

    With `problem` the record cannot be read: it counts as out of service, and nothing is written over it.
    """

    out: OutOfService | None = None
    revision: int = 0
    problem: UnreadableRecord | None = None


def recorded(entries: Iterable[Entry], prefix: str) -> dict[str, Recorded]:
    """Return what those of the entries below `prefix` say of GPUs, by UUID."""
    found = {}
    for entry in entries:
        if entry.key.startswith(prefix):
            try:
                found[entry.key.removeprefix(prefix)] = Recorded(read(OutOfService, entry), entry.revision)
            except UnreadableRecord as exc:
                out = OutOfService("", 0, fault=exc.message)
                found[entry.key.removeprefix(prefix)] = Recorded(out, entry.revision, exc)
    return found


class GpuRecordReader:
    """Reads the records of one node's GPUs."""

    def __init__(self, store: StoreReader, node: str) -> None:
        self._reader = store
        self._prefix = health_prefix(node)

    def keys(self, uuids: Iterable[str]) -> list[str]:
        """Return the keys of the records of these GPUs, if they have any."""
        return [self._prefix + uuid for uuid in uuids]

    def all(self) -> dict[str, Recorded]:
        """Every recorded GPU by its UUID."""
        return recorded(self._reader.list(self._prefix), self._prefix)

    def out_of_service(self) -> dict[str, OutOfService]:
        """The GPUs that must not be given out, and why, by UUID."""
        return {uuid: found.out for uuid, found in self.all().items() if found.out and not found.out.ended}

    def find(self, uuid: str) -> Recorded:
        """Read the record of that GPU. Raises UnreadableRecord."""
        entry = self._reader.get(self._prefix + uuid)
        return Recorded(read(OutOfService, entry), entry.revision) if entry else Recorded()


class GpuRecords(GpuRecordReader):
    """Reads and writes the records of one node's GPUs."""

    def __init__(self, store: Store, node: str) -> None:
        super().__init__(store, node)
        self._store = store
        self._schema = SchemaVersion(store)

    def write(self, uuid: str, out: OutOfService | None, before: Recorded) -> bool:
        """Record `out`, or that the GPU is in service; False, and nothing written, if `before` is not so any more."""
        self._schema.ensure()
        key = self._prefix + uuid
        write = Delete(key) if out is None or out.ended else Put(key, encode(out))
        return self._store.transact({key: before.revision}, [write]) is not None
