"""What creating, resizing and rolling back a volume share: the intent, the records, and the undoing."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from app.errors import Unavailable
from app.model.container import Labels
from app.model.messages import Text
from app.model.operation import Operation, now
from app.model.sizes import Size, human
from app.model.volume import VolumeFamily, VolumePlan, VolumeRecord
from app.operations import hooks
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import Journal
from app.ports import Put, Volumes
from app.state.keys import VOLUMES, family_key
from app.state.volumes import VolumeRecords, VolumeState


@dataclass(frozen=True)
class VolumeResult:
    """A volume's record, and whether anything had to be changed to get there."""

    record: VolumeRecord
    changed: bool = True


@dataclass(frozen=True)
class VolumeMaker:
    """Begins operations on volumes, makes what they plan, and commits or undoes it."""

    records: VolumeRecords
    journal: Journal
    volumes: Volumes

    def __post_init__(self) -> None:
        for kind in ("create", "resize", "rollback"):
            self.journal.register(kind, self.undo, VOLUMES)

    def ensure_idle(self, family: str) -> None:
        """OperationRunning if another operation on the family has not ended."""
        self.journal.ensure_idle(family, VOLUMES)

    def operation(self, kind: str, family: str, version: int, source: VolumeRecord | None = None) -> Operation:
        """A new operation of this process, which will read `source`."""
        read = (source.name,) if source else ()
        return replace(self.journal.operation(kind, family, version, VOLUMES), volumes=read)

    def begin(
        self, plan: Plan, revision: int, also: Mapping[str, int], writes: Sequence[Put] = ()
    ) -> OperationHandle | None:
        """Write the intent, if the family's record has `revision` (0: none) and `also` holds."""
        hooks.planned(plan)
        expected = {family_key(VOLUMES, plan.operation.family): revision, **also}
        return self.journal.begin(plan.operation, expected, writes)

    def make(self, live: OperationHandle, size: Size) -> str:
        """Create the operation's volume, empty; how its size is enforced."""
        operation = live.operation
        labels = Labels(operation.node, operation.family, operation.version, operation.id)
        live.step("creating")
        return self.volumes.create(VolumePlan(labels, size))

    def commit(
        self, live: OperationHandle, size: Size, way: str, state: VolumeState | None, parent: int | None
    ) -> VolumeResult:
        """The commit point: the operation's volume becomes the family's newest version.

        What was copied into it from the version `parent` is on disk by then.
        """
        operation, created = live.operation, now()
        record = VolumeRecord(
            family=operation.family,
            version=operation.version,
            node=operation.node,
            size=size.text,
            bytes=size.bytes,
            driver=way,
            parent=parent,
            why=operation.kind,
            created=created,
            seal=self._seal(operation.name, copied=parent is not None),
        )
        before = state.record if state else VolumeFamily(record.family, record.node, 0, created)
        family = replace(before, current=record.version, updated=created)
        live.commit([self.records.put_family(family), self.records.put(record)], cancellable=True)
        return VolumeResult(record)

    def _seal(self, name: str, *, copied: bool) -> int:
        """The time of the last change; it takes as long to find out as it does to write a copy to disk."""
        place = self.volumes.place(name)
        with ThreadPoolExecutor(1) as helper:
            written = helper.submit(self.volumes.sync, place) if copied else None
            seal = self.volumes.last_change(place)
            if written:
                written.result()
        return seal

    def undo(self, live: OperationHandle) -> None:
        """Remove what the operation made and end it in the journal; may be repeated."""
        live.step("undoing")  # fails if the operation is not ours any more, before anything is touched
        self.volumes.undo(live.operation.id)
        live.abandon([])


def no_room(used: int, free: int) -> Unavailable:
    """The refusal of a copy of `used` bytes where `free` are free."""
    message = Text("copying needs {used} but only {free} are free; make room", used=human(used), free=human(free))
    return Unavailable("disk", message)
