"""Examines the Docker engine for `flask doctor`."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.adapters.docker.client import Clients
from app.adapters.docker.errors import translate_errors
from app.adapters.docker.layers.locators import LOCATORS, DriverLocator
from app.adapters.volumes.sized import SizedVolumes
from app.errors import ContainerNotFound, DomainError, LayerCopyFailed, Unavailable
from app.model.findings import Finding, fail, ok, warning

# dockerd knows the driver "nvidia" if it finds this on its PATH when it starts (docker/daemon/nvidia_linux.go).
_HOOK = "nvidia-container-runtime-hook"
_CDI_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
_GIB = 1 << 30


def examine(docker_host: str, gpu_request: str, node: str, volumes: str) -> Iterator[Finding]:
    """Yield the findings about Docker, its storage, the sizes of volumes and its way to the GPUs."""
    try:
        with translate_errors():
            clients = Clients(docker_host)
            info, layer = clients.quick().info(), _some_layer(clients)
    except Unavailable as exc:
        yield fail(
            "docker",
            f"{docker_host}: {exc.message.partition(';')[0]}",
            "start dockerd, or set DOCKER_HOST to where it listens",
        )
        return
    yield _docker(info, docker_host)
    yield _storage(info, layer)
    yield _volumes(clients, node, volumes)
    yield _disk(info["DockerRootDir"])
    yield _gpu_request(info, gpu_request)


def _some_layer(clients: Clients) -> str | None:
    """Find the writable layer of any container, if there is one: the proof that this is Docker's host."""
    with suppress(LayerCopyFailed, ContainerNotFound):
        for container in clients.quick().containers(all=True, limit=1):
            return DriverLocator(clients).locate(container["Id"])
    return None


def _docker(info: Mapping[str, Any], docker_host: str) -> Finding:
    found = f"{info['ServerVersion']} at {docker_host}"
    if not docker_host.startswith("unix://"):
        return fail("docker", found, "a Docker on another host is not supported yet; run gpudock where Docker runs")
    if os.geteuid() != 0:
        return fail(
            "docker", f"{found}, but gpudock is not root", "run it as root: the layers in Docker's store are root's"
        )
    return ok("docker", f"{found}, local, and gpudock is root")


def _storage(info: Mapping[str, Any], layer: str | None) -> Finding:
    details = dict(pair for pair in info.get("DriverStatus") or ())
    found = f"{info['Driver']} on {details.get('Backing Filesystem', 'an unknown filesystem')}"
    if "containerd" in details.get("driver-type", ""):
        advice = 'put {"features": {"containerd-snapshotter": false}} into /etc/docker/daemon.json and restart Docker'
        return fail("storage", f"{info['Driver']} in containerd's image store, not supported yet", advice)
    if info["Driver"] not in LOCATORS:
        return fail(
            "storage", found, 'put {"storage-driver": "overlay2"} into /etc/docker/daemon.json and restart Docker'
        )
    if not os.access(layer or f"{info['DockerRootDir']}/{info['Driver']}", os.W_OK | os.X_OK):
        return fail(
            "storage", f"{found}, but {info['DockerRootDir']} is out of reach", "run gpudock as root on Docker's host"
        )
    return ok("storage", f"{found}, layers within reach")


def _volumes(clients: Clients, node: str, setting: str) -> Finding:
    """Find what enforces a volume's size, by making a small one as the setting says, and removing it."""
    asked = f"GPUDOCK_VOLUMES={setting}"
    try:
        driver = SizedVolumes(clients, node, setting).try_out()
    except DomainError as exc:
        found, _, advice = exc.message.partition("; ")
        return fail("volumes", f"{asked}: {found}", advice or "see the log, or choose another way with GPUDOCK_VOLUMES")
    if driver.enforced_by is None:
        advice = (
            "mount XFS with pquota under Docker's root, or let gpudock as root have loop devices, ext4 and its tools"
        )
        return warning("volumes", f"{asked}: sizes are not enforced, a volume can fill the disk", advice)
    return ok("volumes", f"{asked}: sizes are enforced by {driver.enforced_by}")


def _disk(docker_root: str) -> Finding:
    """A new version needs room for a copy of its predecessor's layer."""
    try:
        usage = shutil.disk_usage(docker_root)
    except OSError as exc:
        return fail("disk", f"{docker_root}: {exc.strerror}", "run gpudock as root on Docker's host")
    found = f"{usage.free / _GIB:.1f} of {usage.total / _GIB:.1f} GiB free under {docker_root}"
    advice = "delete containers, versions or images that nobody needs, or add space"
    if usage.free < _GIB:
        return fail("disk", found, advice)
    return warning("disk", found, advice) if usage.free < usage.total / 10 else ok("disk", found)


def _gpu_request(info: Mapping[str, Any], mode: str) -> Finding:
    if mode == "cdi":
        return _cdi(info)
    if mode == "nvidia":
        return _hook(info)
    return ok("gpu request", "none: Docker is asked for no GPUs, they are kept on record only")


def _hook(info: Mapping[str, Any]) -> Finding:
    hook = shutil.which(_HOOK)
    runtimes = ", ".join(sorted(info.get("Runtimes") or ()))
    if hook:
        return ok("gpu request", f"nvidia: {hook} (runtimes: {runtimes})")
    advice = "install nvidia-container-toolkit and restart Docker, or set GPUDOCK_GPU_REQUEST=cdi or none"
    return fail("gpu request", f"nvidia, but {_HOOK} is not on the PATH (runtimes: {runtimes})", advice)


def _cdi(info: Mapping[str, Any]) -> Finding:
    directories = info.get("CDISpecDirs") or _CDI_DIRECTORIES
    specs = [str(file) for directory in directories for file in sorted(Path(directory).glob("*.[jy][sa]*"))]
    if int(info["ServerVersion"].partition(".")[0]) < 25:
        return fail("gpu request", f"cdi, but Docker is {info['ServerVersion']}", "CDI needs Docker 25 or later")
    if not specs:
        advice = "run: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
        return fail("gpu request", f"cdi, but no description in {' or '.join(directories)}", advice)
    return ok("gpu request", f"cdi: {', '.join(specs)}")
