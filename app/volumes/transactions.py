"""The common part of creating, resizing, rolling back and adopting a volume: claims, records, and the undoing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from app.errors import Unavailable
from app.model.container import Labels
from app.model.messages import Text
from app.model.operation import Operation, Step, now
from app.model.sizes import Size, human
from app.model.volume import VolumeFamily, VolumePlan, VolumeRecord
from app.operations.base import Resolution, WayOut, WaysOut
from app.operations.effects import UNFINISHABLE, volumes_left
from app.operations.handle import OperationHandle
from app.ports import Volumes
from app.state.volumes import VolumeRecords, VolumeState

# Room for what a copy needs beyond the bytes themselves: directories, and the metadata of a filesystem of its own.
COPY_MARGIN = 16 << 20


@dataclass(frozen=True)
class VolumeResult:
    """A volume's record, and whether anything had to be changed to get there."""

    record: VolumeRecord
    changed: bool = True


@dataclass(frozen=True)
class VolumeMaker:
    """Makes what operations plan, and commits or undoes it."""

    records: VolumeRecords
    volumes: Volumes

    def make(self, handle: OperationHandle, size: Size) -> str:
        """Create the operation's volume, empty; the driver that enforces its size."""
        operation = handle.operation
        labels = Labels(operation.node, operation.family, operation.version, operation.id)
        handle.step(Step.CREATING)
        return self.volumes.create(VolumePlan(labels, size))

    def commit(
        self,
        handle: OperationHandle,
        size: Size,
        driver: str,
        state: VolumeState | None = None,
        parent: int | None = None,
    ) -> VolumeResult:
        """Make the operation's volume the family's newest version: the commit point.

        What was copied into it from the version `parent` is on disk by then. `state` is the family before.
        """
        operation, created = handle.operation, now()
        record = VolumeRecord(
            family=operation.family,
            version=operation.version,
            node=operation.node,
            size=size.text,
            bytes=size.bytes,
            driver=driver,
            parent=parent,
            why=operation.kind,
            created=created,
            seal=self._seal(operation.name, copied=parent is not None),
        )
        family = VolumeFamily(record.family, record.node, record.version, created, created)
        if state:
            family = replace(state.record, current=record.version, updated=created)
        handle.commit([self.records.put_family(family), self.records.put(record)], cancellable=True)
        return VolumeResult(record)

    def _seal(self, name: str, *, copied: bool) -> int:
        """Find the time of the last change, which takes as long as it does to write a copy to disk."""
        path = self.volumes.data_path(name)
        with ThreadPoolExecutor(1) as helper:
            written = helper.submit(self.volumes.sync, path) if copied else None
            seal = self.volumes.last_change(path)
            if written:
                written.result()
        return seal

    def undo(self, handle: OperationHandle) -> None:
        """Remove what the operation made and end it in the journal; may be repeated."""
        handle.step(Step.UNDOING)  # fails if the operation is not ours any more, before anything is touched
        self.volumes.undo(handle.operation.id)
        handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Tell how a stuck operation that makes a volume can be resolved."""
        made = [name for name, maker in self.volumes.made().items() if maker == operation.id]
        others = volumes_left(operation.volumes)
        removes = [Text("removes volume {name} and what was copied into it", name=name) for name in made]
        leaves = [
            Text("leaves volume {name} for now; reconcile removes it, since no record names it", name=name)
            for name in made
        ]
        return {
            Resolution.FINISH: UNFINISHABLE,
            Resolution.UNDO: WayOut([*removes, *others], self.undo),
            Resolution.FORGET: WayOut([*leaves, *others]),
        }


def no_room(used: int, free: int) -> Unavailable:
    """The refusal of a copy of `used` bytes where `free` are free."""
    message = Text("copying needs {used} but only {free} are free; make room", used=human(used), free=human(free))
    return Unavailable("disk", message)
