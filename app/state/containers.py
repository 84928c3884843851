"""The recorded containers of one node, and who holds its GPUs and host ports."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.errors import ContainerNotFound
from app.model.container import FamilyRecord, VersionRecord
from app.model.gpu import Holder
from app.model.messages import Text
from app.ports import Delete, Put, StoreReader
from app.state.families import Families, Shape, State
from app.state.keys import CONTAINERS, GPUS, OPERATIONS, families_prefix, gpus_prefix, ports_prefix

FamilyState = State[FamilyRecord, VersionRecord]
_SHAPE = Shape(
    CONTAINERS,
    lambda name: Text("there is no container {name}; GET /api/v1/containers lists them", name=name),
    FamilyRecord.from_json,
    VersionRecord.from_json,
    ContainerNotFound,
)


@dataclass(frozen=True)
class Claims:
    """Who holds the GPUs (by UUID) and the host ports of one node, as of one revision."""

    gpus: dict[str, Holder]
    ports: dict[int, Holder]

    def gpus_of(self, family: str) -> list[str]:
        """The UUIDs that a family holds."""
        return [uuid for uuid, holder in self.gpus.items() if holder.family == family]

    def ports_of(self, family: str) -> list[int]:
        """The host ports that a family holds."""
        return [port for port, holder in self.ports.items() if holder.family == family]


class Records(Families[FamilyRecord, VersionRecord]):
    """Reads the truth of one node about containers, and builds the writes that change claims."""

    def __init__(self, store: StoreReader, node: str) -> None:
        super().__init__(store, node, _SHAPE)

    def claims(self) -> Claims:
        """Who holds what on this node."""
        gpus, ports = gpus_prefix(self.node), ports_prefix(self.node)
        entries = {e.key: holder_from(e.value) for e in self._store.list(gpus, ports)}
        return Claims(
            {key.removeprefix(gpus): holder for key, holder in entries.items() if key.startswith(gpus)},
            {int(key.removeprefix(ports)): holder for key, holder in entries.items() if key.startswith(ports)},
        )

    def gpu_holders(self) -> dict[str, Holder]:
        """Who holds which GPU, by UUID, on all nodes."""
        return {entry.key.rpartition("/")[2]: holder_from(entry.value) for entry in self._store.list(GPUS)}

    def images_in_use(self) -> set[str]:
        """The image ids that some version record or running operation of this node needs."""
        entries = self._store.list(families_prefix(CONTAINERS), OPERATIONS)
        return {e.value["image_id"] for e in entries if e.value["node"] == self.node and e.value.get("image_id")}

    def claim_keys(self, gpus: Iterable[str], ports: Iterable[int]) -> list[str]:
        """The keys of these GPUs and host ports."""
        return [gpus_prefix(self.node) + uuid for uuid in gpus] + [ports_prefix(self.node) + str(p) for p in ports]

    def put_claims(self, holder: Holder, gpus: Iterable[str], ports: Iterable[int]) -> list[Put]:
        """Writes that make `holder` the holder of these GPUs and host ports."""
        value = {"schema": 1, **vars(holder)}
        return [Put(key, value) for key in self.claim_keys(gpus, ports)]

    def release(self, gpus: Iterable[str], ports: Iterable[int]) -> list[Delete]:
        """Writes that give these GPUs and host ports up."""
        return [Delete(key) for key in self.claim_keys(gpus, ports)]


def holder_from(raw: dict[str, object]) -> Holder:
    """Who a stored claim says holds it."""
    return Holder(**{key: value for key, value in raw.items() if key != "schema"})  # type: ignore[arg-type]
