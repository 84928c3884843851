"""Say what is the matter with a volume that is not as gpudock left it, and what to do about it."""

from collections.abc import Sequence

from app.model.drift import API, Drift, to_complete, to_forget
from app.model.messages import Text
from app.model.operation import Operation
from app.model.volume import VolumeRecord


def missing(record: VolumeRecord, newest: bool) -> Drift:
    """Docker does not have the volume any more."""
    reason = Text("Docker has no volume {name} any more: somebody removed it, and its data with it", name=record.name)
    return Drift("missing", reason, _forget(record, newest))


def data_gone(record: VolumeRecord, newest: bool) -> Drift:
    """Docker has the volume, but not what is in it."""
    return Drift(
        "data-gone",
        Text(
            "What held the data of {name} was deleted from the disk, or the volume was made anew in Docker",
            name=record.name,
        ),
        Text("put it back from a backup; if there is none, {way_out}", way_out=_forget(record, newest)),
    )


def unenforced(record: VolumeRecord) -> Drift:
    """Nothing keeps it from growing."""
    return Drift(
        "unenforced",
        Text(
            "Nothing keeps {name} from growing beyond {size}, up to the whole disk", name=record.name, size=record.size
        ),
        Text("see with `gpudock doctor` how sizes can be enforced here (GPUDOCK_VOLUMES), then give it another size"),
    )


def incomplete(record: VolumeRecord) -> Drift:
    """It holds only a part of its data."""
    reason = Text("{name} holds only a part of its data since a change broke off", name=record.name)
    return Drift("incomplete", reason, to_complete(record))


def foreign_mount(record: VolumeRecord, container: str) -> Drift:
    """A container that gpudock does not know has it."""
    return Drift(
        "foreign-mount",
        Text(
            "{container}, a container that gpudock does not manage, mounts {volume}",
            container=container,
            volume=record.name,
        ),
        Text(
            "take it in with `gpudock adopt container {container}`; until then no resize moves it along, and the "
            "volume cannot be deleted while it runs",
            container=container,
        ),
    )


def _forget(record: VolumeRecord, newest: bool) -> Text:
    path = f"{API}/volumes/{record.name}"
    if not newest:
        return to_forget(path)
    return Text(
        "roll the volume back to an older version that is left, or delete it here too "
        "(DELETE {path} with force and delEtcdInfoAndVersionRecord)",
        path=path,
    )


def is_incomplete(record: VolumeRecord, operations: Sequence[Operation]) -> bool:
    """Tell if what was on its way into the volume does not come any more."""
    return record.merging is not None and record.merging not in {operation.id for operation in operations}
