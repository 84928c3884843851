"""A planned container in the JSON that Docker's create takes; nothing in it comes from a caller's own dict."""

import re
from typing import Any

from app.adapters.docker import labels
from app.model.container import ContainerPlan, Spec

_HOSTNAME = re.compile(r"(?!.{64})[a-zA-Z0-9]+(?:[.-][a-zA-Z0-9]+)*", re.ASCII)
# Without this an image made for CUDA sees every GPU where nvidia is Docker's default runtime.
NO_GPUS = "NVIDIA_VISIBLE_DEVICES=void"


def body(plan: ContainerPlan, gpu_request: str) -> dict[str, Any]:
    """Write the body of `POST /containers/create`; `gpu_request` is nvidia, cdi or none (see `device_requests`)."""
    requests = device_requests(plan.gpus, gpu_request)
    spec, hostname = plan.spec, plan.labels.family
    return {
        "Image": plan.image_id,
        "Hostname": hostname if _HOSTNAME.fullmatch(hostname) else "",
        "Tty": True,
        "OpenStdin": True,
        "Cmd": list(spec.cmd),
        "Env": [*spec.env] if requests else [*spec.env, NO_GPUS],
        "Labels": labels.write(plan.labels, () if requests else plan.gpus),
        "ExposedPorts": {f"{port.container}/tcp": {} for port in spec.ports},
        "HostConfig": {
            # What should run after a reboot is started by reconcile, once the GPUs are there.
            "RestartPolicy": {"Name": "no"},
            "Binds": [f"{bind.src}:{bind.dest}" for bind in spec.binds],
            "Mounts": [{"Type": "volume", "Source": name, "Target": path} for path, name in plan.anonymous.items()],
            "PortBindings": _port_bindings(spec),
            "DeviceRequests": requests,
        },
    }


def device_requests(gpus: tuple[str, ...], gpu_request: str) -> list[dict[str, Any]] | None:
    """Write Docker's DeviceRequests for GPUs by UUID: by NVIDIA's hook, by CDI (Docker 25 and later), or None."""
    if not gpus or gpu_request == "none":
        return None
    ids = [f"nvidia.com/gpu={uuid}" for uuid in gpus] if gpu_request == "cdi" else list(gpus)
    return [{"Driver": gpu_request, "Count": 0, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": {}}]


def _port_bindings(spec: Spec) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.ports:
        bindings.setdefault(f"{port.container}/tcp", []).append({"HostIp": "0.0.0.0", "HostPort": str(port.host)})
    return bindings
