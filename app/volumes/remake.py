"""Make the next version of a volume from an earlier one: what a resize and a rollback have in common."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from app.errors import VolumeIncomplete, VolumeNotFound, VolumeTooSmall
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Step
from app.model.sizes import Size, human
from app.model.volume import VolumeRecord
from app.operations.base import KindBase, Plan, Request, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Containers
from app.state.keys import VOLUMES, family_key, version_key
from app.state.operations import busy
from app.state.retained_data import RetainedData
from app.state.volumes import VolumeState
from app.volumes.delete import outdated
from app.volumes.transactions import COPY_MARGIN, VolumeMaker, VolumeResult, no_room

# XFS frees what was deleted in the background, so for that many seconds a quota may count it still.
_LATE = 0.5


@dataclass(frozen=True, kw_only=True)
class CopyPlan(Plan):
    """A copy: the family before it, the version it begins with, where that one's data is and how much (bytes).

    `outdated` are the older versions that are not kept after it.
    """

    state: VolumeState
    origin: VolumeRecord
    path: str
    used: int
    size: Size
    outdated: tuple[Request[object], ...] = ()


def plan_copy(
    reader: Reader, kind: Kind, state: VolumeState, size: Size | None = None, version: int | None = None
) -> CopyPlan:
    """Plan the next version, of `size` (None: that of the origin), with the data of `version` (None: the newest)."""
    family, origin, revision = state.record.family, *_origin(reader, state, version)
    _check_complete(reader, origin)
    if origin.removed and (origin.version != state.current.version or not origin.aside):
        raise VolumeNotFound(Text("{name} was deleted and its data with it", name=origin.name))
    path = origin.aside or reader.volumes.data_path(origin.name)
    wanted = size or Size(origin.size, origin.bytes)
    used = _used(reader, path, wanted.bytes)
    _check_room(reader, origin, used, wanted)
    operation = reader.draft(kind, family, state.current.version + 1, VOLUMES)
    return CopyPlan(
        operation=operation.reading(origin.name),
        expected={family_key(VOLUMES, family): state.revision, version_key(VOLUMES, family, origin.version): revision},
        writes=[reader.volume_records.put(origin)],
        copies=[lambda: reader.volumes.measure(path)],
        state=state,
        origin=origin,
        path=path,
        used=used,
        size=wanted,
        outdated=outdated(reader, family),
    )


def _origin(reader: Reader, state: VolumeState, version: int | None) -> tuple[VolumeRecord, int]:
    """The version to begin with, and the revision of its record."""
    name = Name(state.record.family, state.current.version if version is None else version)
    entry = reader.volume_records.at(name)
    if entry is None:
        reader.volume_records.version(name)  # raises what there is to say of it
        raise VolumeNotFound(Text("{name} was deleted and its data with it", name=str(name)))
    return entry


def _used(reader: Reader, path: str, size: int) -> int:
    """Bytes in use at a path; if they are more than `size`, looked at again for a moment."""
    deadline = time.monotonic() + _LATE
    while (used := reader.volumes.measure(path)[0]) > size and time.monotonic() < deadline:
        time.sleep(_LATE / 10)
    return used


def _check_room(reader: Reader, origin: VolumeRecord, used: int, size: Size) -> None:
    if used > size.bytes:
        raise VolumeTooSmall(
            Text(
                "{name} holds {used}, more than {size}; delete files or give a larger size",
                name=origin.name,
                used=human(used),
                size=size.text,
            ),
            used=used,
            size=size.bytes,
        )
    free = reader.volumes.free_bytes()
    if free < used + COPY_MARGIN:
        raise no_room(used, free)


def _check_complete(reader: Reader, origin: VolumeRecord) -> None:
    if origin.merging is None:
        return
    for operation in reader.operations.all_running():
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


@dataclass(frozen=True)
class Remake(KindBase):
    """Makes next versions of volumes. The old version stays as it is, and keeps the data if anything fails."""

    maker: VolumeMaker
    containers: Containers
    retained: RetainedData

    def run(self, handle: OperationHandle, plan: CopyPlan) -> VolumeResult:
        """Make the volume, and copy what is in the old one."""
        driver = self.maker.make(handle, plan.size)
        self._copy(handle, plan)
        return self.maker.commit(handle, plan.size, driver, plan.state, plan.origin.version)

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.maker.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.maker.ways_out(operation)

    def after(self, plan: Plan, result: object) -> Iterator[Request[object]]:
        """Let go of data that was set aside, and of versions that are not kept."""
        if isinstance(plan, CopyPlan):
            if plan.origin.aside:
                self.retained.drop(VOLUMES, plan.origin.family, plan.origin.version)
            yield from plan.outdated

    def _copy(self, handle: OperationHandle, plan: CopyPlan) -> None:
        volumes, name = self.maker.volumes, handle.operation.name
        self._check_capacity(plan, name)
        handle.step(Step.COPYING)
        transfer = volumes.begin(plan.path, volumes.data_path(name), handle.progress)
        if any(mount.running for mount in self.containers.mounts().get(plan.origin.name, ())):
            transfer.copy_live()
            transfer.settle()
        else:
            transfer.finish()

    def _check_capacity(self, plan: CopyPlan, name: str) -> None:
        """Refuse a volume whose filesystem leaves less than is in use, now that it is there to be asked."""
        usage = self.maker.volumes.usage(name)
        if usage and usage.capacity is not None and plan.used > usage.capacity:
            raise VolumeTooSmall(
                Text(
                    "{name} holds {used}, but of {size} the filesystem leaves {capacity}; give a larger size",
                    name=plan.origin.name,
                    used=human(plan.used),
                    size=plan.size.text,
                    capacity=human(usage.capacity),
                ),
                used=plan.used,
                size=usage.capacity,
            )
