"""Give a volume another size, or back what an earlier version held: both make the next version with its data."""

import time
from dataclasses import dataclass

from app.containers.prune import Pruner
from app.errors import (
    InvalidRequest,
    OperationFailed,
    VolumeChangeFailed,
    VolumeIncomplete,
    VolumeNotFound,
    VolumeTooSmall,
)
from app.model.messages import Text
from app.model.names import Name
from app.model.sizes import Size, human, parse_size
from app.model.volume import VolumeRecord
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import busy
from app.ports import ContainerReader
from app.state.keys import VOLUMES, version_key
from app.state.retained_data import RetainedData
from app.state.volumes import VolumeState
from app.volumes.transactions import VolumeMaker, VolumeResult, no_room

# Room for what a copy needs beyond the bytes themselves: directories, and the metadata of a filesystem of its own.
_MARGIN = 16 << 20
# XFS frees what was deleted in the background, so for that many seconds a quota may count it still.
_LATE = 0.5


@dataclass(frozen=True)
class Job:
    """A copy that is claimed: the family before it, the version it begins with, and where that one's data is."""

    state: VolumeState
    origin: VolumeRecord
    place: str
    used: int


@dataclass(frozen=True)
class VolumeResizer:
    """Makes next versions of volumes. The old version stays as it is, and keeps the data if anything fails."""

    maker: VolumeMaker
    containers: ContainerReader
    pruner: Pruner
    asides: RetainedData

    def resize(self, name: Name, text: str) -> VolumeResult:
        """Make the next version with size `text` (like 50GB) and everything that the newest holds.

        The same number of bytes changes nothing. Raises VolumeTooSmall if more is in use than the new size holds.
        """
        size = parse_size(text)
        self.maker.ensure_idle(name.family)
        current = self.maker.records.newest(name).current
        if size.bytes == current.bytes and not current.removed:
            return VolumeResult(current, changed=False)
        return self._remake("resize", name, None, size)

    def rollback(self, name: Name, version: int) -> VolumeResult:
        """Make the next version with the data and size of an earlier one; back to the newest changes nothing."""
        self.maker.ensure_idle(name.family)
        current = self.maker.records.newest(name).current
        if not 0 <= version <= current.version:
            raise InvalidRequest(Text("version must be from 0 to {newest}, the newest", newest=current.version))
        if version == current.version and not current.removed:
            return VolumeResult(current, changed=False)
        return self._remake("rollback", name, version, None)

    def _remake(self, kind: str, name: Name, version: int | None, size: Size | None) -> VolumeResult:
        try:
            made = self._carry_out(kind, name, version, size)
        except OperationFailed as exc:
            raise VolumeChangeFailed(_failed(kind, exc.message)) from exc
        self.pruner.volumes(name.family)
        return made

    def _carry_out(self, kind: str, name: Name, version: int | None, size: Size | None) -> VolumeResult:
        jobs: list[tuple[Job, Size]] = []

        def attempt() -> OperationHandle | None:
            self.maker.ensure_idle(name.family)
            job = self._plan(name, version, size)
            wanted = size or Size(job.origin.size, job.origin.bytes)
            self._check_room(job, wanted)
            jobs[:] = [(job, wanted)]
            return self._begin(kind, job)

        live = self.maker.journal.compete(attempt)
        job, wanted = jobs[0]
        with self.maker.journal.guard(live):
            way = self.maker.make(live, wanted)
            self._copy(live, job, live.operation.name, wanted)
            made = self.maker.commit(live, wanted, way, job.state, job.origin.version)
        if job.origin.aside:
            self.asides.drop(VOLUMES, job.origin.family, job.origin.version)
        return made

    def _plan(self, name: Name, version: int | None, size: Size | None) -> Job:
        state = self.maker.records.newest(name)
        origin = state.current
        if version not in (None, origin.version):
            origin = self.maker.records.version(Name(name.family, version))
        self._check_complete(origin)
        if origin.removed and (origin is not state.current or not origin.aside):
            raise VolumeNotFound(Text("{name} was deleted and its data with it", name=origin.name))
        place = origin.aside or self.maker.volumes.data_path(origin.name)
        return Job(state, origin, place, self._used(place, size.bytes if size else origin.bytes))

    def _used(self, place: str, size: int) -> int:
        """Bytes in use at a place; if they are more than `size`, looked at again for a moment."""
        deadline = time.monotonic() + _LATE
        while (used := self.maker.volumes.measure(place)[0]) > size and time.monotonic() < deadline:
            time.sleep(_LATE / 10)
        return used

    def _check_room(self, job: Job, size: Size) -> None:
        if job.used > size.bytes:
            raise VolumeTooSmall(
                Text(
                    "{name} holds {used}, more than {size}; delete files or give a larger size",
                    name=job.origin.name,
                    used=human(job.used),
                    size=size.text,
                ),
                used=job.used,
                size=size.bytes,
            )
        free = self.maker.volumes.free_bytes()
        if free < job.used + _MARGIN:
            raise no_room(job.used, free)

    def _begin(self, kind: str, job: Job) -> OperationHandle | None:
        family, origin = job.state.record.family, job.origin
        entry = self.maker.records.at(Name(family, origin.version))
        if entry is None or entry[0] != origin:
            return None
        operation = self.maker.operation(kind, family, job.state.current.version + 1, origin)
        plan = Plan(operation, copies=[lambda: self.maker.volumes.measure(job.place)])
        also = {version_key(VOLUMES, family, origin.version): entry[1]}
        return self.maker.begin(plan, job.state.revision, also, [self.maker.records.put(origin)])

    def _check_complete(self, origin: VolumeRecord) -> None:
        if origin.merging is None:
            return
        for operation in self.maker.journal.all_running():
            if operation.id == origin.merging:
                raise busy(operation)
        raise VolumeIncomplete(
            Text(
                "{name} holds only a part of its data since a change broke off; "
                "roll the volume back to version {parent}, or move the container to it again",
                name=origin.name,
                parent=origin.parent,
            )
        )

    def _copy(self, live: OperationHandle, job: Job, name: str, size: Size) -> None:
        volumes = self.maker.volumes
        usage = volumes.usage(name)
        if usage and usage.capacity is not None and job.used > usage.capacity:
            raise VolumeTooSmall(
                Text(
                    "{name} holds {used}, but of {size} the filesystem leaves {capacity}; give a larger size",
                    name=job.origin.name,
                    used=human(job.used),
                    size=size.text,
                    capacity=human(usage.capacity),
                ),
                used=job.used,
                size=usage.capacity,
            )
        live.step("copying")
        transfer = volumes.begin(job.place, volumes.data_path(name), live.progress)
        if any(mount.running for mount in self.containers.mounts().get(job.origin.name, ())):
            transfer.copy_live()
            transfer.settle()
        else:
            transfer.finish()


def _failed(kind: str, why: str) -> Text:
    if kind == "resize":
        return Text("the volume's resize failed and was undone: {why}", why=why)
    return Text("the volume's rollback failed and was undone: {why}", why=why)
