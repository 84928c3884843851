"""Past holders of a GPU: from the records of versions, and of what was deleted since from the history."""

from dataclasses import dataclass

from app.model.container import VersionRecord
from app.model.names import versioned
from app.ports import StoreReader
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
            raw = entry.value
            if uuid not in raw.get("gpus", ()):
                continue
            if not entry.key.startswith(HISTORY):
                record = VersionRecord.from_json(raw)
                found[record.name] = PastHolder(record.name, record.version, record.created, record.why, True)
            elif raw["outcome"] == "done":
                name = versioned(raw["family"], raw["version"])
                found.setdefault(name, PastHolder(name, raw["version"], raw["started"], raw["kind"], False))
        return sorted(found.values(), key=lambda holder: (holder.since, holder.version), reverse=True)[:limit]
