"""The common part of every operation that makes a version: claims, planned container, create, fill, start, commit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.containers.migration import Migrator, Source
from app.errors import ContainerNotFound, OperationFailed
from app.gpus.allocation import Allocation
from app.model.container import ContainerPlan, FamilyRecord, Inspected, Labels, VersionRecord
from app.model.gpu import Holder
from app.model.messages import Text
from app.model.names import versioned
from app.model.operation import Operation, Step, now
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Containers, Delete, Images, Put, Volumes
from app.state.containers import FamilyState, Records
from app.state.keys import CONTAINERS, family_key
from app.state.volumes import VolumeRecords
from app.volumes.claims import VolumeClaim, ensure_mounted, mounted


@dataclass(frozen=True)
class ContainerResult:
    """A container's id and versioned name, and whether anything had to be changed to get there.

    `merged` tells, after a move to the direct successor of a volume, whether what was written meanwhile went along.
    """

    id: str
    name: str
    changed: bool = True
    merged: bool | None = None


@dataclass(frozen=True)
class Claimed:
    """The revisions that an operation rests on, and what is written with its intent."""

    expected: Mapping[str, int]
    writes: tuple[Put | Delete, ...]


def claim(reader: Reader, operation: Operation, revision: int, volumes: VolumeClaim | None = None) -> Claimed:
    """Claim an operation's GPUs, ports and volumes, if the family's record has `revision` (0: there is none).

    It fails if one of the GPUs was taken out of service meanwhile.
    """
    records, volumes = reader.records, volumes or VolumeClaim()
    unclaimed = records.claim_keys(operation.gpus, operation.ports)
    free = dict.fromkeys([*unclaimed, *reader.gpu_records.keys(operation.gpus)], 0)
    holder = Holder(operation.family, operation.version, operation.id)
    claims = records.put_claims(holder, operation.gpus, operation.ports)
    return Claimed(
        {family_key(CONTAINERS, operation.family): revision, **free, **volumes.expected()},
        (*claims, *volumes.writes(reader.volume_records, operation)),
    )


def claim_version(
    reader: Reader, draft: Operation, allocation: Allocation, image_id: str, volumes: VolumeClaim, revision: int
) -> tuple[Operation, Claimed]:
    """Claim for `draft`, which makes a version, all that it needs; the operation that says so, and its claims.

    `revision` is that of the family's record (0: there is none).
    """
    operation = replace(
        draft,
        gpus=allocation.taken,
        ports=allocation.new_ports,
        image_id=image_id,
        volumes=volumes.names,
        merge=volumes.merge,
    )
    return operation, claim(reader, operation, revision, volumes)


def container_plan(
    operation: Operation, allocation: Allocation, image_id: str, anonymous: Mapping[str, str]
) -> ContainerPlan:
    """Plan the container that `operation` is to create; a bind takes the place of an anonymous volume."""
    labels = Labels(operation.node, operation.family, operation.version, operation.id)
    name = versioned(operation.family, operation.version)
    bound = {bind.dest for bind in allocation.spec.binds}
    carried = {path: volume for path, volume in anonymous.items() if path not in bound}
    return ContainerPlan(name, labels, image_id, allocation.spec, allocation.gpus, carried)


@dataclass(frozen=True)
class VersionCommit:
    """The commit point of every operation that makes a version."""

    records: Records
    volume_records: VolumeRecords

    def commit(
        self,
        handle: OperationHandle,
        plan: ContainerPlan,
        container: str,
        anonymous: Mapping[str, str],
        state: FamilyState | None = None,
        parent: int | None = None,
        freed: tuple[str, ...] = (),
    ) -> ContainerResult:
        """Make what `plan` became the current version, running, holding its GPUs and ports; `freed` are free then.

        `state` is the family before, None for a new one; `parent` the version that its files come from.
        """
        operation, created = handle.operation, now()
        record = VersionRecord(
            family=operation.family,
            version=operation.version,
            node=operation.node,
            spec=plan.spec,
            image_id=plan.image_id,
            container_id=container,
            gpus=plan.gpus,
            anonymous=anonymous,
            parent=parent,
            why=operation.kind,
            created=created,
        )
        holder = Holder(record.family, record.version, operation.id, container)
        handle.commit(
            [
                self.records.put_family(_family(record, state, created)),
                self.records.put(record),
                *self.records.put_claims(holder, record.gpus, [port.host for port in record.spec.ports]),
                *self.records.release(freed, ()),
                *mounted(self.volume_records, operation),
            ],
            cancellable=True,
        )
        return ContainerResult(container, plan.name)


def _family(record: VersionRecord, state: FamilyState | None, moment: str) -> FamilyRecord:
    if state is None:
        return FamilyRecord(record.family, record.node, record.version, "running", moment, moment)
    return replace(state.record, current=record.version, desired="running", updated=moment)


def _nothing() -> None: ...


@dataclass(frozen=True)
class VersionStarter:
    """Makes a version from what was planned of it."""

    containers: Containers
    images: Images
    volumes: Volumes
    migrator: Migrator
    committer: VersionCommit

    def create(self, plan: ContainerPlan) -> str:
        """Create the container, not started; its id."""
        self.images.hold_image(plan.image_id)
        return self.containers.create(plan)

    def fill(self, handle: OperationHandle, source: Source, container: str) -> Callable[[], None]:
        """Copy the source's files into the new container, see `Migrator.carry`."""
        return self.migrator.carry(handle, source, container)

    def start(
        self,
        handle: OperationHandle,
        plan: ContainerPlan,
        container: str,
        write_out: Callable[[], None] = _nothing,
        state: FamilyState | None = None,
        parent: int | None = None,
        freed: Sequence[str] = (),
    ) -> ContainerResult:
        """Start the new container and commit it as the newest version, see `VersionCommit.commit`.

        `write_out` is called after the start, to keep the downtime short; before the commit, which promises it.
        """
        handle.step(Step.STARTING)
        ensure_mounted(self.volumes, plan.spec)
        self.containers.start(container)
        write_out()
        anonymous = self._inspect(container).anonymous
        return self.committer.commit(handle, plan, container, anonymous, state, parent, tuple(freed))

    def _inspect(self, container: str) -> Inspected:
        inspected = self.containers.inspect(container)
        if inspected is None:
            raise OperationFailed(Text("the new container vanished from Docker while it was being made"))
        return inspected


def vanished(name: str) -> ContainerNotFound:
    """The answer for a container that is recorded but gone from Docker, and its files with it."""
    return ContainerNotFound(
        Text(
            "{name} was removed from Docker behind gpudock's back and its files with it; "
            "delete it here too, then create it anew",
            name=name,
        )
    )
