"""Drift: what is not as gpudock left it, why that matters, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.containers import Inspected, Labels, Observed, VersionRecord
from app.domain.naming import versioned
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
    gone = f"Docker has no container {record.name} any more: somebody removed it, and its files with it"
    delete = f"DELETE {_container(record)} with force and delEtcdInfoAndVersionRecord"
    if newest:
        return Drift("missing", gone, f"delete it here too ({delete}), or go back to an older version that is left")
    return Drift("missing", f"{gone}; one cannot go back to that version", f"delete its record ({delete})")


def renamed(record: VersionRecord, name: str) -> Drift:
    """Docker's name for the container is not that of the record."""
    reason = f"Somebody renamed {record.name} to {name} in Docker"
    return Drift("renamed", reason, f"give it its name back: docker rename {name} {record.name}")


def exited(record: VersionRecord, seen: Observed) -> Drift:
    """It should run and does not."""
    advice = (
        f"read what it printed (GET {_container(record)}/logs) and restart it (PATCH {_container(record)}/restart); "
        "what was ended by hand or by a reboot, `gpudock reconcile` starts by itself"
    )
    if isinstance(seen, Inspected) and seen.out_of_memory:
        advice = f"give it more memory or less to do, then restart it (PATCH {_container(record)}/restart)"
    return Drift("exited", f"{record.name} should run and does not: {_how_it_ended(seen)}", advice)


def paused(record: VersionRecord, seen: Observed) -> Drift:
    """Its processes were frozen."""
    reason = f"Somebody paused {record.name} in Docker: its processes stand still, and keep what they hold"
    return Drift("paused", reason, f"let it go on: docker unpause {seen.name}")


def started(record: VersionRecord) -> Drift:
    """It should not run."""
    has_gpus = "; its GPUs are not its own any more" if record.spec.gpu_count else ""
    return Drift(
        "started",
        f"{record.name} was stopped here, and somebody started it in Docker{has_gpus}",
        f"stop it (PATCH {_container(record)}/stop), or have it run properly (PATCH {_container(record)}/restart)",
    )


def older_running(record: VersionRecord, seen: Observed, newest: str) -> Drift:
    """A version that was superseded runs."""
    return Drift(
        "older-running",
        f"{record.name} runs, an older version than {newest}: somebody started it in Docker",
        f"stop it: docker stop {seen.name}; to go back to it, PATCH {_API}/containers/{record.family}/rollback "
        f"with version {record.version}",
    )


def volume_missing(record: VersionRecord, volume: str) -> Drift:
    """A volume that it mounts is gone."""
    return Drift(
        "volume-missing",
        f"{record.name} mounts the volume {volume}, which Docker has not any more",
        f"mount another one in its place (PATCH {_container(record)}/volume)",
    )


def volume_incomplete(record: VersionRecord, volume: VolumeRecord) -> Drift:
    """A volume that it mounts holds only a part of its data."""
    return Drift(
        "volume-incomplete",
        f"{record.name} mounts {volume.name}, which holds only a part of its data since a change broke off",
        _complete(volume),
    )


def gpu_lost(record: VersionRecord, uuid: str) -> Drift:
    """A GPU that it holds is not there."""
    return Drift("gpu-lost", f"{record.name} holds GPU {uuid}, which this host has not any more", _other_gpus(record))


def gpu_unhealthy(record: VersionRecord, uuid: str, fault: str) -> Drift:
    """A GPU that it holds has a fault."""
    return Drift("gpu-unhealthy", f"{record.name} holds GPU {uuid}, which is unhealthy: {fault}", _other_gpus(record))


def gpu_lost_inside(record: VersionRecord, fault: str) -> Drift:
    """Its processes do not reach the GPUs that it holds."""
    advice = f"restart it (PATCH {_container(record)}/restart): its processes then reach their GPUs again"
    return Drift("gpu-lost-inside", f"{record.name} has lost its GPUs inside: {fault}", advice)


def leftover(seen: Observed, labels: Labels) -> Drift:
    """A container of a family that is not on record any more. That is legal."""
    ways = [f"docker rm {seen.name}"]
    if seen.name == versioned(labels.family, labels.version):
        ways.insert(0, f"DELETE {_API}/containers/{seen.name}" + (" with force, since it runs" if seen.running else ""))
    return Drift(
        "leftover",
        f"Docker still has {seen.name}, a version of {labels.family}, whose record was deleted",
        f"delete it when nobody needs its files any more: {', or '.join(ways)}",
    )


def missing_volume(record: VolumeRecord, newest: bool) -> Drift:
    """Docker does not have the volume any more."""
    reason = f"Docker has no volume {record.name} any more: somebody removed it, and its data with it"
    return Drift("missing", reason, _forget(record, newest))


def data_gone(record: VolumeRecord, newest: bool) -> Drift:
    """Docker has the volume, but not what is in it."""
    reason = f"What held the data of {record.name} was deleted from the disk, or the volume was made anew in Docker"
    return Drift("data-gone", reason, f"put it back from a backup; if there is none, {_forget(record, newest)}")


def unenforced(record: VolumeRecord) -> Drift:
    """Nothing keeps it from growing."""
    return Drift(
        "unenforced",
        f"Nothing keeps {record.name} from growing beyond {record.size}, up to the whole disk",
        "see with `gpudock doctor` how sizes can be enforced here (GPUDOCK_VOLUMES), then give it another size",
    )


def incomplete(record: VolumeRecord) -> Drift:
    """It holds only a part of its data."""
    return Drift(
        "incomplete", f"{record.name} holds only a part of its data since a change broke off", _complete(record)
    )


def foreign_mount(record: VolumeRecord, container: str) -> Drift:
    """A container that gpudock does not know has it."""
    return Drift(
        "foreign-mount",
        f"{container}, a container that gpudock does not manage, mounts {record.name}",
        f"take it in with `gpudock adopt container {container}`; until then no resize moves it along, and the volume "
        "cannot be deleted while it runs",
    )


def unreachable(name: str, silence: str) -> Drift:
    """It is on a node of which nobody knows how its things are."""
    return Drift(
        "unreachable",
        f"How {name} is nobody knows: {silence}",
        "see to that host (`make doctor` there). It may well run on; nothing of it is given to others meanwhile",
    )


def _container(record: VersionRecord) -> str:
    return f"{_API}/containers/{record.name}"


def _other_gpus(record: VersionRecord) -> str:
    path = _container(record)
    return f"stop it and restart it (PATCH {path}/stop, then /restart): it comes back with others that are free"


def _complete(volume: VolumeRecord) -> str:
    parent = f"{volume.family}-{volume.parent}"
    return f"move the container from {parent} to it again, or roll the volume back to version {volume.parent}"


def _forget(record: VolumeRecord, newest: bool) -> str:
    delete = f"DELETE {_API}/volumes/{record.name} with force and delEtcdInfoAndVersionRecord"
    if newest:
        return f"roll the volume back to an older version that is left, or delete it here too ({delete})"
    return f"delete its record ({delete})"


def _how_it_ended(seen: Observed) -> str:
    if not isinstance(seen, Inspected):
        return f'Docker says "{seen.status}"' if seen.status else f"Docker calls it {seen.state}"
    if not seen.started:
        return "it was never started"
    when = f" at {datetime.fromtimestamp(seen.ended, UTC):%Y-%m-%d %H:%M:%S} UTC" if seen.ended is not None else ""
    if seen.out_of_memory:
        return f"the kernel killed it for want of memory{when} (exit code {seen.exit_code})"
    return f"it ended by itself or was stopped by hand{when} with exit code {seen.exit_code}{_signal(seen.exit_code)}"


def _signal(code: int) -> str:
    return f" (signal {code - 128})" if code > 128 else ""
