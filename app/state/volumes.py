"""The recorded volumes of one node."""

from app.errors import InvalidRequest, VolumeNotFound
from app.model.messages import Text
from app.model.names import VOLUME, Name, parse
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import Put, StoreReader
from app.state.families import Families, Shape, State
from app.state.keys import VOLUMES, family_key, version_key

VolumeState = State[VolumeFamily, VolumeRecord]
_SHAPE = Shape(
    VOLUMES,
    lambda name: Text("there is no volume {name}; GET /api/v1/volumes lists them", name=name),
    VolumeFamily.from_json,
    VolumeRecord.from_json,
    VolumeNotFound,
)


class VolumeRecords(Families[VolumeFamily, VolumeRecord]):
    """Reads the truth of one node about volumes."""

    def __init__(self, store: StoreReader, node: str) -> None:
        super().__init__(store, node, _SHAPE)

    def entry(self, volume: str) -> tuple[VolumeRecord, int] | None:
        """The record of the Docker volume of that name and its revision; None for one that gpudock did not make."""
        try:
            name = parse(volume, VOLUME)
        except InvalidRequest:  # not a name that gpudock gives
            return None
        if name.version is None:
            return None
        return self.at(name)

    def at(self, name: Name) -> tuple[VolumeRecord, int] | None:
        """The record of a versioned name and its revision, if it is this node's."""
        entry = self._store.get(version_key(VOLUMES, name.family, name.version or 0))
        if entry is None or entry.value["node"] != self.node:
            return None
        return VolumeRecord.from_json(entry.value), entry.revision

    def put(self, record: VolumeRecord) -> Put:
        """The write that makes `record` the record of its version."""
        return Put(version_key(VOLUMES, record.family, record.version), record.to_json())

    def put_family(self, family: VolumeFamily) -> Put:
        """The write that makes `family` the record of its family."""
        return Put(family_key(VOLUMES, family.family), family.to_json())
