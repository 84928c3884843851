"""From the services' views to the contract's JSON names."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.cluster.summary import NodeView
from app.containers.queries import ContainerView, VersionView
from app.containers.transactions import ContainerResult
from app.gpus.queries import GpuView
from app.images.queries import ImageView
from app.model.container import VersionRecord
from app.model.container_drift import Leftover
from app.model.drift import Drift
from app.operations.base import WaysOut
from app.operations.preview import Preview
from app.operations.queries import OperationView
from app.volumes.queries import VolumeVersionView, VolumeView
from app.volumes.transactions import VolumeResult
from app.web.api import specs


def made(container: ContainerResult) -> dict[str, Any]:
    """The id and name that a creating or changing call answers."""
    merged = {} if container.merged is None else {"merged": container.merged}
    return {"id": container.id, "name": container.name, **merged}


def container(view: ContainerView) -> dict[str, Any]:
    """One line of the list."""
    record = view.newest
    return {
        "name": record.name,
        "version": record.version,
        "id": record.container_id,
        "state": view.state,
        "imageId": record.image_id,
        "node": record.node,
        "gpus": list(view.gpus),
        **specs.shown(record.spec),
        "created": record.created,
        "updated": view.family.updated,
        "drift": drift(view.drift),
    }


def drift(found: Iterable[Drift]) -> list[dict[str, str]]:
    """Return differences from how gpudock left something, as JSON."""
    return [asdict(one) for one in found]


def leftover(found: Leftover) -> dict[str, Any]:
    """A container of a family that is not on record any more."""
    container = found.container
    node = container.labels.node if container.labels else None
    about = {"name": container.name, "id": container.id, "state": container.state, "node": node}
    return {**about, "drift": drift([found.drift])}


def detail(view: ContainerView) -> dict[str, Any]:
    """A container with its versions."""
    return {**container(view), "versions": [version(v) for v in view.versions]}


def version(view: VersionView) -> dict[str, Any]:
    """One version in a container's history."""
    record: VersionRecord = view.record
    return {
        "name": record.name,
        "version": record.version,
        "id": record.container_id,
        "state": view.state,
        "why": record.why,
        "parent": record.parent,
        "created": record.created,
        "removed": record.removed,
        "gpuCount": record.spec.gpu_count,
        "gpus": list(record.gpus),
        "image": record.spec.image,
        "drift": drift(view.drift),
    }


def made_volume(volume: VolumeResult) -> dict[str, Any]:
    """The name and size that a creating or changing call answers; and, where it is so, that no size is enforced."""
    record = volume.record
    return {"name": record.name, "size": record.size, **({} if record.enforced else {"enforced": False})}


def volume(view: VolumeView) -> dict[str, Any]:
    """One line of the list."""
    of_all = {"versionCount": view.count, "updated": view.family.updated, "drift": drift(view.drift)}
    return {**volume_version(view.newest), **of_all}


def volume_detail(view: VolumeView) -> dict[str, Any]:
    """A volume with its versions."""
    return {**volume(view), "versions": [volume_version(v) for v in view.versions]}


def volume_version(view: VolumeVersionView) -> dict[str, Any]:
    """One version of a volume."""
    record, usage = view.record, view.usage
    return {
        "name": record.name,
        "version": record.version,
        "state": view.state,
        "size": record.size,
        "bytes": record.bytes,
        "used": usage.used,
        "capacity": usage.capacity,
        "files": usage.files,
        "enforced": record.enforced,
        "way": record.driver,
        "complete": record.merging is None,
        "mountedBy": [{"container": m.container, "dest": m.dest, "running": m.running} for m in view.mounts],
        "why": record.why,
        "parent": record.parent,
        "created": record.created,
        "removed": record.removed,
        "node": record.node,
        "drift": drift(view.drift),
    }


def image(view: ImageView) -> dict[str, Any]:
    """An image and who needs it."""
    image = view.image
    return {
        "id": image.id,
        "names": list(image.names),
        "digests": list(image.digests),
        "size": image.size,
        "created": image.created,
        "usedBy": list(view.users),
        "commitOf": image.committed,
        "node": view.node,
    }


def node(view: NodeView) -> dict[str, Any]:
    """A node, and how much there is on it."""
    about = view.node
    looked = None if about.seen is None else datetime.fromtimestamp(about.seen, UTC).isoformat(timespec="milliseconds")
    return {
        "name": about.name,
        "alive": about.alive,
        "url": about.url,
        "version": about.version,
        "seen": looked,
        "problem": about.silence,
        "gpusTotal": view.gpus,
        "gpusFree": view.free_gpus,
        "containers": view.containers,
        "volumes": view.volumes,
    }


def operation(view: OperationView) -> dict[str, Any]:
    """An operation and what became of it."""
    record = view.operation
    return {
        "id": record.id,
        "kind": record.kind,
        "resource": record.resource,
        "target": record.name,
        "node": record.node,
        "state": view.state,
        "step": record.step,
        "bytesDone": record.done,
        "bytesTotal": record.total,
        "started": record.started,
        "ended": view.ended,
        "error": view.error,
        "code": view.code,
        "by": record.by,
        "who": record.who,
        "requestId": record.request,
        "steps": [{"step": step, "reached": reached} for step, reached in record.steps],
    }


def ways_out(found: WaysOut) -> dict[str, Any]:
    """Return the ways out for a stuck operation, as JSON."""
    return {
        how: {
            "possible": way.refusal is None,
            "effects": [] if way.refusal else list(way.effects),
            "reason": way.refusal,
        }
        for how, way in found.items()
    }


def preview(found: Preview) -> dict[str, Any]:
    """Return the effects of a change, as JSON."""
    blocker = found.blocker
    return {
        "dryRun": True,
        "changes": found.operation is not None,
        "kind": found.operation.kind if found.operation else None,
        "name": found.operation.name if found.operation else None,
        "gpus": list(found.gpus),
        "ports": list(found.ports),
        "bytesToCopy": found.bytes,
        "filesToCopy": found.files,
        "expectedDowntime": found.downtime,
        "blockers": [{"code": blocker.code, "msg": blocker.message, "data": blocker.data}] if blocker else [],
    }


def gpu(view: GpuView) -> dict[str, Any]:
    """One GPU, described."""
    holder = view.holder
    return {
        "uuid": view.gpu.uuid,
        "index": view.gpu.index,
        "node": view.node,
        "status": int(not view.free),
        "model": view.gpu.model,
        "memoryTotal": view.gpu.memory_total,
        "memoryUsed": view.gpu.memory_used,
        "utilisation": view.gpu.utilisation,
        "temperature": view.gpu.temperature,
        "power": view.gpu.power,
        "healthy": view.fault is None,
        "schedulable": view.schedulable,
        "reason": view.reason,
        "advice": view.advice,
        "since": view.since,
        "holder": {"name": f"{holder.family}-{holder.version}", "id": holder.container_id} if holder else None,
    }
