"""Say what is the matter with a container that is not as gpudock left it, and what to do about it."""

from dataclasses import dataclass

from app.model.container import Inspected, Labels, Observed, VersionRecord
from app.model.drift import API, Drift, to_complete, to_forget
from app.model.exit_reasons import how_it_ended
from app.model.messages import Text
from app.model.names import versioned
from app.model.volume import VolumeRecord


@dataclass(frozen=True)
class Leftover:
    """A container of ours in Docker whose family is not on record any more."""

    container: Observed
    drift: Drift


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
        to_forget(_container(record)),
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
            path=f"{API}/containers/{record.family}",
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
        to_complete(volume),
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


def _container(record: VersionRecord) -> str:
    return f"{API}/containers/{record.name}"


def _other_gpus(record: VersionRecord) -> Text:
    return Text(
        "stop it and restart it (PATCH {path}/stop, then /restart): it comes back with others that are free",
        path=_container(record),
    )


def _remove(seen: Observed, labels: Labels) -> Text:
    path = f"{API}/containers/{seen.name}"
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
