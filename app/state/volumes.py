"""The recorded volumes of one node."""

from app.errors import InvalidRequest, UnreadableRecord, VolumeNotFound
from app.model.messages import Text
from app.model.names import VOLUME, Name, parse
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import StoreReader
from app.state.codec import read
from app.state.families import Families, Shape, State, Survey
from app.state.keys import VOLUMES, version_key

VolumeState = State[VolumeFamily, VolumeRecord]
RecordedVolumes = Survey[VolumeFamily, VolumeRecord]
_SHAPE = Shape(
    VOLUMES,
    lambda name: Text("there is no volume {name}; GET /api/v1/volumes lists them", name=name),
    VolumeFamily,
    VolumeRecord,
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

    def is_recorded(self, volume: str) -> bool:
        """Tell if the Docker volume of that name has a record of this node, or one that cannot be read."""
        try:
            return self.entry(volume) is not None
        except UnreadableRecord:
            return True

    def at(self, name: Name) -> tuple[VolumeRecord, int] | None:
        """The record of a versioned name and its revision, if it is this node's."""
        entry = self._store.get(version_key(VOLUMES, name.family, name.version or 0))
        record = read(VolumeRecord, entry) if entry else None
        return (record, entry.revision) if entry and record and record.node == self.node else None
