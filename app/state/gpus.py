"""What etcd holds of GPUs that are not plainly in service. No record of a GPU means that it is in service."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.model.gpu_health import OutOfService
from app.ports import Delete, Put, Store
from app.state.codec import encode, read, readable
from app.state.keys import health_prefix
from app.state.schema_version import SchemaVersion


@dataclass(frozen=True)
class Recorded:
    """What is recorded of one GPU, None if nothing, and the revision for compare-and-set (0: no record)."""

    out: OutOfService | None = None
    revision: int = 0


class GpuRecords:
    """Reads and writes the records of one node's GPUs."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._prefix = health_prefix(node)
        self._layout = SchemaVersion(store)

    def keys(self, uuids: Iterable[str]) -> list[str]:
        """Where the records of these GPUs are, if they have any."""
        return [self._prefix + uuid for uuid in uuids]

    def all(self) -> dict[str, Recorded]:
        """Every recorded GPU by its UUID."""
        return {
            entry.key.removeprefix(self._prefix): Recorded(out, entry.revision)
            for entry, out in readable(OutOfService, self._store.list(self._prefix))
        }

    def out_of_service(self) -> dict[str, OutOfService]:
        """The GPUs that must not be given out, and why, by UUID."""
        return {uuid: found.out for uuid, found in self.all().items() if found.out and not found.out.ended}

    def find(self, uuid: str) -> Recorded:
        """What is recorded of that GPU."""
        entry = self._store.get(self._prefix + uuid)
        return Recorded(read(OutOfService, entry), entry.revision) if entry else Recorded()

    def write(self, uuid: str, out: OutOfService | None, before: Recorded) -> bool:
        """Record `out`, or that the GPU is in service; False, and nothing written, if `before` is not so any more."""
        self._layout.ensure()
        key = self._prefix + uuid
        write = Delete(key) if out is None or out.ended else Put(key, encode(out))
        return self._store.transact({key: before.revision}, [write]) is not None
