"""The claims of a container's operation on its volumes.

Both sides compare and rewrite the record of the volume's version when they begin. So of two that begin at the same
moment one plans again, and then meets the other's operation in the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import DomainError, VolumeIncomplete, VolumeNotFound, VolumesApart, VolumeTooSmall
from app.model.container import Bind, Spec
from app.model.messages import Text
from app.model.operation import Kind, Merge, Operation, Step, now
from app.model.sizes import human
from app.model.volume import VolumeRecord
from app.operations.reader import Reader
from app.ports import Put, VolumeReader, Volumes
from app.state.keys import VOLUMES, version_key
from app.state.operations import busy
from app.state.volumes import VolumeRecords


@dataclass(frozen=True)
class VolumeClaim:
    """The recorded volumes that a container is going to mount, each with its revision; and what goes into one of them.

    `merged` answers the caller: None if the container does not move to its volume's direct successor.
    """

    entries: Sequence[tuple[VolumeRecord, int]] = ()
    merge: Merge | None = None
    merged: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the volumes."""
        return tuple(record.name for record, _ in self.entries)

    def writes(self, records: VolumeRecords, operation: Operation) -> list[Put]:
        """Build what the operation's beginning writes to the volumes' records: each gets a new revision at least."""
        target = self.merge.target if self.merge else None
        return [
            records.put(replace(record, merging=operation.id) if record.name == target else record)
            for record, _ in self.entries
        ]

    def expected(self) -> dict[str, int]:
        """List the revisions that the records must still have."""
        return {version_key(VOLUMES, record.family, record.version): revision for record, revision in self.entries}


def claim_volumes(reader: Reader, spec: Spec, exchange: tuple[Bind, Bind] | None = None) -> VolumeClaim:
    """Claim the volumes of a container with `spec`, which with `exchange` moves from one volume to another.

    Raises VolumeNotFound for a volume that is not there, VolumeIncomplete for one that holds only a part of its
    data, OperationRunning for one that is being deleted, or copied while something is to be merged into it, and
    VolumeTooSmall if by now the old volume holds more than its successor can.
    """
    merged = _follows(reader, *exchange) if exchange else None
    merge = Merge(exchange[0].src, exchange[1].src) if exchange and merged else None
    if merge:
        _check_room(reader, merge)
    names = spec.volumes
    entries = [entry for name in names if (entry := reader.volume_records.entry(name))]
    for record, _ in entries:
        _check(reader, record, merge)
    for name in names:
        if not reader.docker_volumes.volume_exists(name):
            raise _absent(reader, name)
    return VolumeClaim(entries, merge, merged)


def mounted(records: VolumeRecords, operation: Operation) -> list[Put]:
    """Build what the commit writes: its container mounts the volumes, and whatever was to be merged is."""
    target = operation.merge.target if operation.merge else None
    entries = [entry for name in operation.volumes if (entry := records.entry(name))]
    return [
        records.put(replace(record, mounted=now(), merging=None if record.name == target else record.merging))
        for record, _ in entries
    ]


def unmerged(records: VolumeRecords, operation: Operation) -> list[Put]:
    """Build what undoing writes, for an operation that did not begin to merge: its target is what it was."""
    if operation.merge is None or began_to_merge(operation):
        return []
    entry = records.entry(operation.merge.target)
    return [records.put(replace(entry[0], merging=None))] if entry else []


def began_to_merge(operation: Operation) -> bool:
    """Tell if an operation may have written to the target of its merge; one that was only undone since has not."""
    if operation.merge is None or operation.step == Step.CLAIMED:
        return False
    return {step for step, _ in operation.steps} != {Step.UNDOING}


def measure_volume(volumes: VolumeReader, name: str) -> tuple[int, int]:
    """Measure a volume: bytes in use and number of files."""
    return volumes.measure(volumes.data_path(name))


def ensure_mounted(volumes: Volumes, spec: Spec) -> None:
    """Make the volumes of `spec` mountable, also after a reboot."""
    volumes.ensure_mounted(spec.volumes)


def _absent(reader: Reader, volume: str) -> DomainError:
    home = reader.volume_records.home(volume.rpartition("-")[0])
    if home not in (None, reader.volume_records.node):
        return VolumesApart(
            Text(
                "volume {volume} is on node {home}, the container on {node}",
                volume=volume,
                home=home,
                node=reader.volume_records.node,
            )
        )
    return VolumeNotFound(Text("there is no volume {name}; create it first", name=repr(volume)))


def _check(reader: Reader, record: VolumeRecord, merge: Merge | None) -> None:
    is_target = merge is not None and record.name == merge.target
    operation = reader.operations.running(record.family, VOLUMES)
    if operation and (
        (operation.kind == Kind.DELETE and operation.name == record.name)
        or (is_target and record.name in operation.volumes)
    ):
        raise busy(operation)
    if record.removed:
        raise VolumeNotFound(Text("{name} was deleted; a change of its size brings its data back", name=record.name))
    if record.merging and not is_target:
        raise VolumeIncomplete(
            Text(
                "{name} gets, or got only a part of, what was written to {parent}; "
                "move the container from {parent} to it (again), or roll the volume back",
                name=record.name,
                parent=f"{record.family}-{record.parent}",
            )
        )


def _check_room(reader: Reader, merge: Merge) -> None:
    used, _ = measure_volume(reader.volumes, merge.source)
    usage = reader.volumes.usage(merge.target)
    if usage and usage.capacity is not None and used > usage.capacity:
        raise VolumeTooSmall(
            Text(
                "{source} holds {used} by now, more than the {capacity} of {target}; resize the volume to more",
                source=merge.source,
                used=human(used),
                capacity=human(usage.capacity),
                target=merge.target,
            ),
            used=used,
            size=usage.capacity,
        )


def _follows(reader: Reader, old: Bind, new: Bind) -> bool | None:
    """Tell if what was written to the old volume belongs into the new one, its direct successor by a resize.

    None if it is no such successor, False if somebody has had the successor mounted and so may have changed it.
    """
    before, after = reader.volume_records.entry(old.src), reader.volume_records.entry(new.src)
    if before is None or after is None or before[0].family != after[0].family:
        return None
    if after[0].why != "resize" or after[0].parent != before[0].version or before[0].removed or after[0].removed:
        return None
    return _untouched(reader, after[0])


def _untouched(reader: Reader, record: VolumeRecord) -> bool:
    if any(mount.started for mount in reader.containers.mounts().get(record.name, ())):
        return False
    if record.merging:  # nobody could mount it since
        return True
    return record.mounted is None and record.seal == reader.volumes.last_change(reader.volumes.data_path(record.name))
