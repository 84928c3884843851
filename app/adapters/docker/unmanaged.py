"""Containers and volumes that somebody else made: what they would be as ours, and what that would lose."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.adapters.docker import labels, parse
from app.adapters.docker.create_body import NO_GPUS
from app.model.adoption import ALL_GPUS, UnmanagedContainer, UnmanagedVolume
from app.model.container import Bind, PortMapping, Spec
from app.model.messages import Text

Raw = Mapping[str, Any]
_CDI = "nvidia.com/gpu="
_VISIBLE = "NVIDIA_VISIBLE_DEVICES="
# Compared by functions of their own below, or of no consequence: what a container prints to, and how it was started.
_OWN_WAY = {
    "HostConfig": {
        *("Binds", "Mounts", "PortBindings", "DeviceRequests", "NetworkMode"),
        *("ContainerIDFile", "ConsoleSize"),
    },
    "Config": {
        *("Hostname", "Env", "Labels", "ExposedPorts", "Volumes", "Image", "ArgsEscaped"),
        *("Tty", "OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"),
    },
}
_OPTIONS = {
    "AutoRemove": "--rm",
    "CgroupnsMode": "--cgroupns",
    "Cmd": Text("the command"),
    "Devices": "--device",
    "DeviceCgroupRules": "--device-cgroup-rule",
    "ExtraHosts": "--add-host",
    "Healthcheck": "--health-cmd",
    "IpcMode": "--ipc",
    "Links": "--link",
    "LogConfig": Text("--log-driver or --log-opt"),
    "MaskedPaths": "--security-opt",
    "NanoCpus": "--cpus",
    "PidMode": "--pid",
    "PublishAllPorts": "--publish-all",
    "ReadonlyPaths": "--security-opt",
    "ReadonlyRootfs": "--read-only",
    "RestartPolicy": "--restart",
    "Sysctls": "--sysctl",
    "UTSMode": "--uts",
    "Ulimits": "--ulimit",
    "UsernsMode": "--userns",
    "WorkingDir": "--workdir",
}


def volume(raw: Raw) -> UnmanagedVolume:
    """Read a volume from Docker's inspect."""
    return UnmanagedVolume(raw["Name"], raw["Driver"], raw["Options"] or {}, labels.is_ours(raw["Labels"]))


def described(raw: Raw, image: Raw) -> UnmanagedContainer:
    """Read a container from Docker's inspect, with the Config of its image."""
    config, own = raw["Config"], set(image.get("Env") or ())
    binds, anonymous = _mounts(raw)
    spec = Spec(
        image=config["Image"],
        binds=binds,
        env=tuple(line for line in config["Env"] or () if line not in own and line != NO_GPUS),
        cmd=() if config["Cmd"] == image.get("Cmd") else tuple(config["Cmd"] or ()),
        ports=_ports(raw),
    )
    container = replace(parse.inspected(dict(raw)), anonymous=anonymous)
    return UnmanagedContainer(container, spec, *_gpus(raw))


def differences(old: Raw, new: Raw) -> list[str]:
    """List what `old` has and `new` has not or otherwise, each named as the option of `docker run` that makes it.

    Whatever is unknown here is compared as it is, so that no setting of any version of Docker gets lost unseen.
    """
    found = [*_settings(old, new), *_network(old, new), *_published(old, new), *_labels(old, new)]
    found += [*_environment(old, new), *_mounted(old, new), *_gpu_options(old)]
    if old["Config"]["Hostname"] not in (old["Id"][:12], new["Config"]["Hostname"]):
        found.append("--hostname")
    return list(dict.fromkeys(found))


def _mounts(raw: Raw) -> tuple[tuple[Bind, ...], dict[str, str]]:
    """Its binds, and by mount point the volumes that nobody gave a name."""
    binds, anonymous = [], {}
    host = raw["HostConfig"]
    named = {bind.partition(":")[0] for bind in host["Binds"] or ()}
    named |= {mount.get("Source") for mount in host.get("Mounts") or ()}
    for mount in raw["Mounts"]:
        if mount["Type"] == "bind":
            binds.append(Bind(mount["Source"], mount["Destination"]))
        elif mount["Type"] == "volume" and mount["Name"] in named:
            binds.append(Bind(mount["Name"], mount["Destination"]))
        elif mount["Type"] == "volume":
            anonymous[mount["Destination"]] = mount["Name"]
    return tuple(binds), anonymous


def _ports(raw: Raw) -> tuple[PortMapping, ...]:
    """Its TCP ports; one that Docker chose for it stays as it is while it runs."""
    found = []
    actual = raw["NetworkSettings"].get("Ports") or {}
    for key, bindings in (raw["HostConfig"]["PortBindings"] or {}).items():
        container, _, protocol = key.partition("/")
        for number, binding in enumerate(bindings or ()):
            chosen = binding["HostPort"] or (actual.get(key) or bindings)[number]["HostPort"]
            if protocol == "tcp":
                found.append(PortMapping(int(chosen) if chosen.isdecimal() else 0, int(container)))
    return tuple(found)


def _gpus(raw: Raw) -> tuple[tuple[str, ...], int]:
    requests = raw["HostConfig"].get("DeviceRequests") or ()
    ids = [str(name).removeprefix(_CDI) for request in requests for name in request["DeviceIDs"] or ()]
    counts = [request["Count"] for request in requests]
    if "all" in ids or any(count < 0 for count in counts):
        return (), ALL_GPUS
    return tuple(ids), len(ids) or sum(counts)


def _settings(old: Raw, new: Raw) -> Iterator[str]:
    for part, own_way in _OWN_WAY.items():
        for key in sorted({*old[part], *new[part]} - own_way):
            if _value(key, old[part].get(key)) != _value(key, new[part].get(key)):
                yield _OPTIONS.get(key) or _option(key)


def _value(key: str, value: Any) -> Any:
    """The same for everything that means: not set."""
    if key == "RestartPolicy":
        return {**(value or {}), "Name": (value or {}).get("Name") or "no"}
    return value or None


def _option(key: str) -> str:
    """CpuQuota -> --cpu-quota."""
    return "-" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in key)


def _network(old: Raw, new: Raw) -> Iterator[str]:
    before, after = (raw["NetworkSettings"].get("Networks") or {} for raw in (old, new))
    modes = {raw["HostConfig"]["NetworkMode"] for raw in (old, new)}
    if not modes <= {"default", "bridge"} or before.keys() - after.keys():
        yield "--network"
    for name in before.keys() & after.keys():
        if any(before[name].get(key) != after[name].get(key) for key in ("IPAMConfig", "Links", "DriverOpts")):
            yield Text("an address or alias in the network {name}", name=name)


def _published(old: Raw, new: Raw) -> Iterator[str]:
    before, after = (raw["HostConfig"]["PortBindings"] or {} for raw in (old, new))
    for key, bindings in before.items():
        open_ = all(binding.get("HostIp") in ("", "0.0.0.0", None) for binding in bindings or ())
        known = {binding["HostPort"] for binding in after.get(key) or ()}
        ports = [binding["HostPort"] for binding in bindings or ()]
        if not open_ or len(known) != len(ports) or any(port and port not in known for port in ports):
            yield f"--publish {key}" if open_ else Text("--publish {port} at an address of its own", port=key)
    exposed = (old["Config"].get("ExposedPorts") or {}).keys() - before.keys()
    if exposed - (new["Config"].get("ExposedPorts") or {}).keys():
        yield "--expose"


def _labels(old: Raw, new: Raw) -> Iterator[str]:
    before, after = (labels.without(raw["Config"]["Labels"]) for raw in (old, new))
    for label in before.keys() - after.keys() | {label for label in before if before[label] != after.get(label)}:
        yield f"--label {label}"


def _environment(old: Raw, new: Raw) -> Iterator[str]:
    """The keys of what is lost: values may be secrets."""
    # Only NVIDIA's runtime heeds this one, which many images have. With GPUs asked for, Docker sets it.
    heeded = "nvidia" in str(old["HostConfig"].get("Runtime")) and not old["HostConfig"].get("DeviceRequests")
    lost = set(old["Config"]["Env"] or ()) - set(new["Config"]["Env"] or ())
    for line in sorted(lost):
        if not line.startswith(_VISIBLE):
            yield f"--env {line.partition('=')[0]}"
        elif heeded and line.removeprefix(_VISIBLE) not in ("", "void", "none"):
            yield Text("GPUs by NVIDIA_VISIBLE_DEVICES instead of --gpus")


def _mounted(old: Raw, new: Raw) -> Iterator[str]:
    before, after = ({mount["Destination"]: _mount(mount) for mount in raw["Mounts"]} for raw in (old, new))
    for destination, mount in before.items():
        if after.get(destination) != mount:
            yield (
                Text("the mount of {place} as it is ({kind})", place=destination, kind=mount[0])
                if mount[2]
                else Text("the mount of {place} as it is ({kind}, read-only)", place=destination, kind=mount[0])
            )
    plain = {"Type", "Source", "Target", "ReadOnly"}
    for mount in old["HostConfig"].get("Mounts") or ():
        if any(value for key, value in mount.items() if key not in plain):
            yield Text("options of --mount {place}", place=mount["Target"])


def _mount(raw: Raw) -> tuple[Any, ...]:
    # A bind's source may be spelled otherwise, through links; Docker gives volumes the mode z by itself.
    mode = raw["Mode"] if raw["Type"] == "bind" else raw["Mode"].strip("z")
    options = sorted(set(mode.split(",")) - {"", "rw", "ro", raw["Propagation"]})
    return raw["Type"], raw.get("Name"), raw["RW"], raw["Propagation"], options


def _gpu_options(old: Raw) -> Iterator[str]:
    requests = old["HostConfig"].get("DeviceRequests") or ()
    if len(requests) > 1:
        yield Text("more than one --gpus")
    for request in requests:
        capabilities = {word for words in request["Capabilities"] or () for word in words}
        if request["Options"] or not capabilities <= {"gpu"} or request["Driver"] not in ("", "nvidia", "cdi"):
            yield Text("--gpus with capabilities or options")
