"""From the services' views to the contract's JSON names."""

from dataclasses import asdict
from typing import Any

from app.domain.containers import VersionRecord
from app.services.gpus import GpuView
from app.services.inquiry import ContainerView, VersionView
from app.services.versions import Made


def made(container: Made) -> dict[str, Any]:
    """The id and name that a creating or changing call answers."""
    return {"id": container.id, "name": container.name}


def container(view: ContainerView) -> dict[str, Any]:
    """One line of the list."""
    record, spec = view.newest, view.newest.spec
    return {
        "name": record.name,
        "version": record.version,
        "id": record.container_id,
        "state": view.state,
        "image": spec.image,
        "imageId": record.image_id,
        "node": record.node,
        "gpuCount": spec.gpu_count,
        "gpus": list(view.gpus),
        "ports": [{"hostPort": port.host, "containerPort": port.container} for port in spec.ports],
        "binds": [asdict(bind) for bind in spec.binds],
        "env": list(spec.env),
        "cmd": list(spec.cmd),
        "created": record.created,
        "updated": view.family.updated,
    }


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
    }


def gpu(view: GpuView) -> dict[str, Any]:
    """One GPU, described."""
    holder = view.holder
    return {
        "uuid": view.gpu.uuid,
        "index": view.gpu.index,
        "status": int(not view.free),
        "model": view.gpu.model,
        "memoryTotal": view.gpu.memory_total,
        "memoryUsed": view.gpu.memory_used,
        "utilisation": view.gpu.utilisation,
        "temperature": view.gpu.temperature,
        "power": view.gpu.power,
        "healthy": view.gpu.fault is None,
        "reason": view.reason,
        "holder": {"name": f"{holder.family}-{holder.version}", "id": holder.container_id} if holder else None,
    }
