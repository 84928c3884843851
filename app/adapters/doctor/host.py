"""Examines what gpudock needs of the outside, for `flask doctor`; it leaves nothing behind."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pynvml

from app.adapters.doctor import docker
from app.adapters.etcd import EtcdStore
from app.adapters.gpus.nvml import NvmlInventory
from app.config import Config
from app.errors import Unavailable
from app.model.findings import Finding, fail, ok, warning

_DRIVER = Path("/proc/driver/nvidia/version")


def examine(config: Config) -> Iterator[Finding]:
    """Yield every finding, one part after the other; a part that does not answer costs a few seconds."""
    yield _settings(config)
    yield from docker.examine(config.docker_host, config.gpu_request, config.node, config.volumes)
    yield _etcd(config)
    yield _gpus(config.simulated_gpus)
    yield _copying()
    yield _bind_roots(config.bind_roots)


def _settings(config: Config) -> Finding:
    found = f"node {config.node}, keys under {config.prefix}, host ports {config.port_range[0]}-{config.port_range[1]}"
    if not config.auth:
        return warning("settings", f"{found}, no authentication", "GPUDOCK_AUTH=off is for tests only; set a token")
    return ok("settings", found)


def _etcd(config: Config) -> Finding:
    """Each member by itself: one that is down is a warning, as long as another one serves."""
    states = {f"{host}:{port}": _etcd_member(host, port, config.prefix) for host, port in config.etcd}
    found = ", ".join(f"{name} {state}" for name, state in states.items())
    healthy = [state for state in states.values() if state.startswith("healthy")]
    if not healthy:
        return fail("etcd", found, "start etcd, or set GPUDOCK_ETCD to where it listens")
    if len(healthy) < len(states):
        return warning("etcd", found, "see to the members that are down before another one fails")
    return ok("etcd", found)


def _etcd_member(host: str, port: int, prefix: str) -> str:
    store = EtcdStore([(host, port)], prefix)
    try:
        version = store.ping()
    except Unavailable as exc:
        return f"does not serve ({exc.message.partition(';')[0]})"
    finally:
        store.close()
    return f"healthy, {version}" if _etcd_health(host, port) else f"raises an alarm (etcdctl alarm list), {version}"


def _etcd_health(host: str, port: int) -> bool:
    """Ask /health of the member: false while it has an alarm, such as no space. Also served by etcd 3.6."""
    address = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/health", timeout=2) as answer:
            return str(json.load(answer)["health"]) == "true"
    except (URLError, OSError, ValueError, KeyError):
        return False


def _gpus(simulated: int | None) -> Finding:
    if simulated is None:
        return _nvml()
    found = f"{simulated} simulated ones: containers get no real GPU"
    if _DRIVER.exists():
        return warning("gpus", found, "this host has an NVIDIA driver; set GPUDOCK_GPUS=nvml to use its GPUs")
    return ok("gpus", found)


def _nvml() -> Finding:
    try:
        gpus = NvmlInventory().gpus()
        count = pynvml.nvmlDeviceGetCount()
    except Unavailable as exc:
        found, _, advice = exc.message.partition("; ")
        return fail("gpus", found, advice or "see what nvidia-smi says")
    except pynvml.NVMLError as exc:
        return fail("gpus", f"NVML fails: {exc}", "see what nvidia-smi says")
    found = f"{count} by NVML ({', '.join(sorted({gpu.model or 'unknown model' for gpu in gpus}))})"
    if not count:
        return fail("gpus", found, "see what nvidia-smi says, or set GPUDOCK_GPUS=simulated:8")
    faults = [f"{gpu.uuid}: {gpu.fault}" for gpu in gpus if gpu.fault]
    # One that was lost before this process began tells its UUID to nobody, so the inventory cannot name it.
    if count > len(gpus):
        faults.append(f"{count - len(gpus)} lost")
    if faults:
        return warning(
            "gpus", f"{found}, unhealthy: {'; '.join(faults)}", "containers do not get them; reset or replace"
        )
    return ok("gpus", found)


def _copying() -> Finding:
    cp = (
        subprocess.run(["cp", "--version"], capture_output=True, text=True, check=False) if shutil.which("cp") else None
    )
    first = cp.stdout.partition("\n")[0] if cp else "no cp"
    if "GNU coreutils" not in first:
        return fail("copying", first, "layers are copied with GNU cp, which keeps everything; install coreutils")
    if not shutil.which("setpriv"):
        return fail("copying", f"{first}, but no setpriv", "install util-linux")
    return ok("copying", first)


def _bind_roots(roots: tuple[str, ...]) -> Finding:
    there = [root for root in roots if os.path.isdir(root)]  # noqa: PTH112 - Path.is_dir raises for no permission
    found = f"{':'.join(there) or 'none exists'} (allowed: {':'.join(roots)})"
    if not there:
        return warning("bind roots", found, "host directories cannot be mounted; create one or set GPUDOCK_BIND_ROOTS")
    return ok("bind roots", found)
