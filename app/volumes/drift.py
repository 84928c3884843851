"""Finds drift: compares what is recorded of this node's volumes with what its parts say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.model import volume_drift
from app.model.container import Mount
from app.model.drift import Drift
from app.model.operation import Operation, works_on
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import DockerVolumeReader
from app.state.keys import VOLUMES
from app.state.operations import OperationRecords


@dataclass(frozen=True)
class VolumeDriftContext:
    """The facts by which the drift of volumes is judged; `present` are those whose data is there."""

    since: str
    operations: Sequence[Operation]
    volumes: frozenset[str]
    present: frozenset[str]
    mounts: Mapping[str, Sequence[Mount]]

    def of(self, family: VolumeFamily, record: VolumeRecord) -> tuple[Drift, ...]:
        """The drift of one version of this node's volumes."""
        return () if record.removed else tuple(self._of(family, record))

    def _of(self, family: VolumeFamily, record: VolumeRecord) -> Iterator[Drift]:
        newest = record.version == family.current
        if record.name not in self.present:
            if family.updated <= self.since and not works_on(self.operations, VOLUMES, family.family):
                yield (volume_drift.data_gone if record.name in self.volumes else volume_drift.missing)(record, newest)
            return
        if newest and not record.enforced:
            yield volume_drift.unenforced(record)
        if volume_drift.is_incomplete(record, self.operations):
            yield volume_drift.incomplete(record)
        for container in sorted({m.container for m in self.mounts.get(record.name, ()) if not m.managed}):
            yield volume_drift.foreign_mount(record, container)


@dataclass(frozen=True)
class VolumeDrifts:
    """Asks the parts of this node, each once, for what the drift of volumes is judged by."""

    operations: OperationRecords
    docker_volumes: DockerVolumeReader

    def of_volumes(
        self, since: str, present: frozenset[str], mounts: Mapping[str, Sequence[Mount]]
    ) -> VolumeDriftContext:
        """For all volumes, of which the data of `present` is there."""
        operations, names = self.operations.all_running(), frozenset(self.docker_volumes.volume_names())
        return VolumeDriftContext(since, operations, names, present, mounts)
