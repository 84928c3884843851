"""Finds drift: compares what is recorded of this node's containers with what its parts say."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from app.errors import Unavailable
from app.gpus.health import GpuHealth
from app.gpus.queries import Gpus
from app.model import container_drift
from app.model.container import FamilyRecord, Observed, VersionRecord
from app.model.container_drift import Leftover
from app.model.drift import Drift
from app.model.gpu_health import ABSENT
from app.model.operation import Operation, works_on
from app.model.volume import VolumeRecord
from app.model.volume_drift import is_incomplete
from app.ports import DockerVolumeReader
from app.state.containers import Claims
from app.state.keys import CONTAINERS
from app.state.operations import OperationRecords
from app.state.volumes import VolumeRecords


@dataclass(frozen=True)
class DriftContext:
    """The facts by which the drift of containers is judged, read once for all of them.

    `since` is the time (ISO 8601) before Docker was asked: what was changed after it may have looked otherwise then.
    `volumes` are those that Docker has, `incomplete` those with only a part of their data. `gpus` has the fault of
    each GPU that is there, None for a healthy one; it is None itself if the inventory does not answer. `inside` says
    for families why their containers do not reach their GPUs.
    """

    since: str
    observed: Mapping[str, Observed]
    claims: Claims
    operations: Sequence[Operation]
    volumes: frozenset[str]
    incomplete: Mapping[str, VolumeRecord]
    gpus: Mapping[str, str | None] | None
    inside: Mapping[str, str]

    def of(self, family: FamilyRecord, record: VersionRecord) -> tuple[Drift, ...]:
        """The drift of one version of this node's containers."""
        if record.removed:
            return ()
        moving = family.updated > self.since or works_on(self.operations, CONTAINERS, family.family)
        newest = record.version == family.current
        found = [] if moving else [*self._of_container(family, record, newest)]
        if newest:
            found += [*self._of_volumes(record), *self._of_gpus(record)]
        return tuple(found)

    def leftovers(self, families: Set[str]) -> tuple[Leftover, ...]:
        """The containers whose family is none of `families`, by name."""
        known = families | {o.family for o in self.operations}
        found = sorted(self.observed.values(), key=lambda container: container.name)
        return tuple(
            Leftover(container, container_drift.leftover(container, container.labels))
            for container in found
            if container.labels and container.labels.family not in known
        )

    def _of_container(self, family: FamilyRecord, record: VersionRecord, newest: bool) -> Iterator[Drift]:
        seen = self.observed.get(record.container_id)
        if seen is None:
            yield container_drift.missing(record, newest)
            return
        if not newest:
            if seen.running:
                yield container_drift.older_running(record, seen, f"{family.family}-{family.current}")
        elif family.desired == "stopped" and seen.running:
            yield container_drift.started(record)
        elif family.desired == "running" and not seen.running:
            yield container_drift.exited(record, seen)
        if newest and seen.state == "paused":
            yield container_drift.paused(record, seen)
        if seen.name != record.name:  # last: what the others advise names it as it is called now
            yield container_drift.renamed(record, seen.name)

    def _of_volumes(self, record: VersionRecord) -> Iterator[Drift]:
        for name in dict.fromkeys(bind.src for bind in record.spec.binds if bind.is_volume):
            if name not in self.volumes:
                yield container_drift.volume_missing(record, name)
            elif volume := self.incomplete.get(name):
                yield container_drift.volume_incomplete(record, volume)

    def _of_gpus(self, record: VersionRecord) -> Iterator[Drift]:
        for uuid in self.claims.gpus_of(record.family):
            if self.gpus is None:
                continue
            if uuid not in self.gpus:
                yield container_drift.gpu_lost(record, uuid)
            elif fault := self.gpus[uuid]:
                yield container_drift.gpu_unhealthy(record, uuid, fault)
        if fault := self.inside.get(record.family):
            yield container_drift.gpu_lost_inside(record, fault)


class Drifts:
    """Asks the parts of this node, each once, for what drift is judged by."""

    def __init__(
        self,
        operations: OperationRecords,
        volumes: VolumeRecords,
        docker_volumes: DockerVolumeReader,
        gpus: Gpus,
        gpu_health: GpuHealth,
    ) -> None:
        self._operations = operations
        self._volumes = volumes
        self._docker_volumes = docker_volumes
        self._gpus = gpus
        self._gpu_health = gpu_health

    def of_containers(
        self, since: str, observed: Mapping[str, Observed], claims: Claims, records: Sequence[VersionRecord]
    ) -> DriftContext:
        """For containers with these records; asks no part about what none of them has."""
        operations = self._operations.all_running()
        bound = {bind.src for record in records for bind in record.spec.binds if bind.is_volume}
        return DriftContext(
            since=since,
            observed=observed,
            claims=claims,
            operations=operations,
            volumes=frozenset(self._docker_volumes.volume_names()) if bound else frozenset(),
            incomplete=self._incomplete(bound, operations),
            gpus=self._faults() if claims.gpus else {},
            inside=self._gpu_health.faults_inside() if claims.gpus else {},
        )

    def _incomplete(self, names: set[str], operations: Sequence[Operation]) -> dict[str, VolumeRecord]:
        recorded = self._volumes.everything()[1] if names else {}
        return {name: record for name, record in recorded.items() if is_incomplete(record, operations)}

    def _faults(self) -> dict[str, str | None] | None:
        try:
            return {view.gpu.uuid: view.fault for view in self._gpus.here() if view.gpu.fault != ABSENT}
        except Unavailable as exc:
            if exc.part == "etcd":
                raise
            return None  # the container is as it was, as far as one can see
