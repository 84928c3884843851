"""Past holders of a GPU: from the records of versions, and of what was deleted since from the history."""

from dataclasses import dataclass

from app.model.container import VersionRecord
from app.model.operation import PastOperation
from app.ports import Entry, StoreReader
from app.state.codec import try_read
from app.state.keys import CONTAINERS, HISTORY, families_prefix


@dataclass(frozen=True)
class PastHolder:
    """A version that was made with a GPU: when, and by which kind of operation.

    `recorded` is False once its record was deleted, so that it has no page any more.
    """

    name: str
    version: int
    since: str
    why: str
    recorded: bool


class GpuHistory:
    """Looks through records and history."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store

    def of(self, uuid: str, limit: int = 20) -> list[PastHolder]:
        """The last `limit` versions that were made with that GPU, the newest first, the present one included."""
        found: dict[str, PastHolder] = {}
        for entry in self._store.list(families_prefix(CONTAINERS), HISTORY):  # what is recorded comes first
            if uuid not in str(entry.value.get("gpus")):  # as a rule: most need not be read
                continue
            past = _done(entry, uuid) if entry.key.startswith(HISTORY) else _recorded(entry, uuid)
            if past is not None:
                found.setdefault(past.name, past)
        return sorted(found.values(), key=lambda past: (past.since, past.version), reverse=True)[:limit]


def _recorded(entry: Entry, uuid: str) -> PastHolder | None:
    record = try_read(VersionRecord, entry)
    if record is None or uuid not in record.gpus:
        return None
    return PastHolder(record.name, record.version, record.created, record.why, True)


def _done(entry: Entry, uuid: str) -> PastHolder | None:
    past = try_read(PastOperation, entry)
    if past is None or uuid not in past.gpus or past.outcome != "done":
        return None
    return PastHolder(past.name, past.version, past.started, past.kind, False)
