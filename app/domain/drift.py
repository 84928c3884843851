"""Drift: what is not as gpudock left it, why that matters, and what to do about it."""

from dataclasses import dataclass

from app.domain.containers import Inspected, Labels, Observed, VersionRecord
from app.domain.endings import how_it_ended
from app.domain.naming import versioned
from app.domain.texts import Text
from app.domain.volumes import VolumeRecord

CONTAINER_KINDS = (
    "missing",
    "renamed",
    "exited",
    "paused",
    "started",
    "older-running",
    "volume-missing",
    "volume-incomplete",
    "gpu-lost",
    "gpu-unhealthy",
    "gpu-lost-inside",
    "leftover",
    "unreachable",
)
VOLUME_KINDS = ("missing", "data-gone", "unenforced", "incomplete", "foreign-mount", "unreachable")
_API = "/api/v1"


@dataclass(frozen=True)
class Drift:
    """One finding: its kind, what is the matter in one sentence, and what to do about it in another."""

    kind: str
    reason: str
    advice: str


def missing(record: VersionRecord, newest: bool) -> Drift:
    """Docker does not have the container any more."""
    if newest:
        return Drift(
            "missing",
            Text(
                "Docker has no container {name} any more: somebody removed it, and its files with it", name=record.name
            ),
            Text(
                "delete it here too (DELETE {path} with force and delEtcdInfoAndVersionRecord), or go back to an older "
                "version that is left",
                path=_container(record),
            ),
        )
    return Drift(
        "missing",
        Text(
            "Docker has no container {name} any more: somebody removed it, and its files with it; one cannot go back "
            "to that version",
            name=record.name,
        ),
        _delete_record(_container(record)),
    )


def renamed(record: VersionRecord, name: str) -> Drift:
    """Docker's name for the container is not that of the record."""
    return Drift(
        "renamed",
        Text("Somebody renamed {old} to {new} in Docker", old=record.name, new=name),
        Text("give it its name back: docker rename {new} {old}", old=record.name, new=name),
    )


def exited(record: VersionRecord, seen: Observed) -> Drift:
    """It should run and does not."""
    path = _container(record)
    advice = Text(
        "read what it printed (GET {path}/logs) and restart it (PATCH {path}/restart); "
        "what was ended by hand or by a reboot, `gpudock reconcile` starts by itself",
        path=path,
    )
    if isinstance(seen, Inspected) and seen.out_of_memory:
        advice = Text("give it more memory or less to do, then restart it (PATCH {path}/restart)", path=path)
    reason = Text("{name} should run and does not: {why}", name=record.name, why=how_it_ended(seen))
    return Drift("exited", reason, advice)


def paused(record: VersionRecord, seen: Observed) -> Drift:
    """Its processes were frozen."""
    return Drift(
        "paused",
        Text("Somebody paused {name} in Docker: its processes stand still, and keep what they hold", name=record.name),
        Text("let it go on: docker unpause {name}", name=seen.name),
    )


def started(record: VersionRecord) -> Drift:
    """It should not run."""
    reason = Text("{name} was stopped here, and somebody started it in Docker", name=record.name)
    if record.spec.gpu_count:
        reason = Text(
            "{name} was stopped here, and somebody started it in Docker; its GPUs are not its own any more",
            name=record.name,
        )
    return Drift(
        "started",
        reason,
        Text("stop it (PATCH {path}/stop), or have it run properly (PATCH {path}/restart)", path=_container(record)),
    )


def older_running(record: VersionRecord, seen: Observed, newest: str) -> Drift:
    """A version that was superseded runs."""
    return Drift(
        "older-running",
        Text(
            "{name} runs, an older version than {newest}: somebody started it in Docker",
            name=record.name,
            newest=newest,
        ),
        Text(
            "stop it: docker stop {name}; to go back to it, PATCH {path}/rollback with version {version}",
            name=seen.name,
            path=f"{_API}/containers/{record.family}",
            version=record.version,
        ),
    )


def volume_missing(record: VersionRecord, volume: str) -> Drift:
    """A volume that it mounts is gone."""
    return Drift(
        "volume-missing",
        Text("{name} mounts the volume {volume}, which Docker has not any more", name=record.name, volume=volume),
        Text("mount another one in its place (PATCH {path}/volume)", path=_container(record)),
    )


def volume_incomplete(record: VersionRecord, volume: VolumeRecord) -> Drift:
    """A volume that it mounts holds only a part of its data."""
    return Drift(
        "volume-incomplete",
        Text(
            "{name} mounts {volume}, which holds only a part of its data since a change broke off",
            name=record.name,
            volume=volume.name,
        ),
        _complete(volume),
    )


def gpu_lost(record: VersionRecord, uuid: str) -> Drift:
    """A GPU that it holds is not there."""
    reason = Text("{name} holds GPU {uuid}, which this host has not any more", name=record.name, uuid=uuid)
    return Drift("gpu-lost", reason, _other_gpus(record))


def gpu_unhealthy(record: VersionRecord, uuid: str, fault: str) -> Drift:
    """A GPU that it holds has a fault."""
    reason = Text("{name} holds GPU {uuid}, which is unhealthy: {why}", name=record.name, uuid=uuid, why=fault)
    return Drift("gpu-unhealthy", reason, _other_gpus(record))


def gpu_lost_inside(record: VersionRecord, fault: str) -> Drift:
    """Its processes do not reach the GPUs that it holds."""
    return Drift(
        "gpu-lost-inside",
        Text("{name} has lost its GPUs inside: {why}", name=record.name, why=fault),
        Text("restart it (PATCH {path}/restart): its processes then reach their GPUs again", path=_container(record)),
    )


def leftover(seen: Observed, labels: Labels) -> Drift:
    """A container of a family that is not on record any more. That is legal."""
    reason = Text(
        "Docker still has {name}, a version of {family}, whose record was deleted", name=seen.name, family=labels.family
    )
    return Drift("leftover", reason, _remove(seen, labels))


def missing_volume(record: VolumeRecord, newest: bool) -> Drift:
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
    return Drift("incomplete", reason, _complete(record))


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


def unreachable(name: str, silence: str) -> Drift:
    """It is on a node of which nobody knows how its things are."""
    return Drift(
        "unreachable",
        Text("How {name} is nobody knows: {why}", name=name, why=silence),
        Text("see to that host (`make doctor` there). It may well run on; nothing of it is given to others meanwhile"),
    )


def _container(record: VersionRecord) -> str:
    return f"{_API}/containers/{record.name}"


def _other_gpus(record: VersionRecord) -> Text:
    return Text(
        "stop it and restart it (PATCH {path}/stop, then /restart): it comes back with others that are free",
        path=_container(record),
    )


def _remove(seen: Observed, labels: Labels) -> Text:
    path = f"{_API}/containers/{seen.name}"
    if seen.name != versioned(labels.family, labels.version):
        return Text("delete it when nobody needs its files any more: docker rm {name}", name=seen.name)
    if seen.running:
        return Text(
            "delete it when nobody needs its files any more: DELETE {path} with force, since it runs, or "
            "docker rm {name}",
            path=path,
            name=seen.name,
        )
    return Text(
        "delete it when nobody needs its files any more: DELETE {path}, or docker rm {name}", path=path, name=seen.name
    )


def _complete(volume: VolumeRecord) -> Text:
    return Text(
        "move the container from {parent} to it again, or roll the volume back to version {version}",
        parent=f"{volume.family}-{volume.parent}",
        version=volume.parent,
    )


def _forget(record: VolumeRecord, newest: bool) -> Text:
    path = f"{_API}/volumes/{record.name}"
    if not newest:
        return _delete_record(path)
    return Text(
        "roll the volume back to an older version that is left, or delete it here too "
        "(DELETE {path} with force and delEtcdInfoAndVersionRecord)",
        path=path,
    )


def _delete_record(path: str) -> Text:
    return Text("delete its record (DELETE {path} with force and delEtcdInfoAndVersionRecord)", path=path)
