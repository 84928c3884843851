"""Check a container's spec; every refusal names the offending value and what to do instead."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from app.errors import BindRefused, EnvRefused, ImageNameMissing, InvalidRequest
from app.model.container import Bind, PortMapping, Spec
from app.model.gpu import check_count
from app.model.messages import Text

_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", re.ASCII)
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,511}", re.ASCII)
# The NVIDIA runtime and the loader act on these: a caller could give itself other people's GPUs.
_RESERVED_ENV = ("NVIDIA_", "LD_")


def check_spec(spec: Spec) -> Spec:
    """Return `spec` with clean bind destinations if all of it can be accepted; raises an InvalidRequest otherwise."""
    check_image(spec.image)
    check_count(spec.gpu_count)
    for variable in spec.env:
        check_env(variable)
    check_command(spec.cmd)
    check_ports(spec.ports)
    return replace(spec, binds=check_binds(spec.binds))


def check_image(name: str) -> str:
    """Return `name` if an image may be called so."""
    if not name:
        raise ImageNameMissing(Text("imageName is missing; name an image that `docker images` shows on the host"))
    if not _IMAGE.fullmatch(name):
        raise InvalidRequest(Text("the image name must be a Docker image reference, like busybox:latest"))
    return name


def check_env(variable: str) -> str:
    """Return `variable` if it reads KEY=value and its key is free for callers to set."""
    key, equals, _ = variable.partition("=")
    if not equals or not key or "\0" in variable:
        raise EnvRefused(Text("env entry {entry} must read KEY=value", entry=repr(variable[:80])))
    if key.upper().startswith(_RESERVED_ENV):
        raise EnvRefused(
            Text("env {key} is reserved: NVIDIA_* and LD_* are set by gpudock; leave it out", key=repr(key[:80]))
        )
    return variable


def check_command(cmd: Iterable[str]) -> None:
    """Refuse a command with NUL characters or an empty program name."""
    words = list(cmd)
    if words and not words[0]:
        raise InvalidRequest(Text("cmd must begin with the name of a program"))
    if any("\0" in word for word in words):
        raise InvalidRequest(Text("cmd must not contain NUL characters"))


def check_ports(ports: Iterable[PortMapping]) -> None:
    """Refuse ports that are out of range or published twice."""
    for port in ports:
        if not 1 <= port.container <= 65535 or not 0 <= port.host <= 65535:
            raise InvalidRequest(Text("ports must be from 1 to 65535; leave hostPort out to get a free one"))
    for host, times in Counter(port.host for port in ports if port.host).items():
        if times > 1:
            raise InvalidRequest(Text("hostPort {port} is given {n} times; give each its own", port=host, n=times))


def check_binds(binds: Iterable[Bind]) -> tuple[Bind, ...]:
    """The binds with normal destinations, or BindRefused for what could break out of the container or clash."""
    clean = tuple(replace(bind, src=check_source(bind.src), dest=check_destination(bind.dest)) for bind in binds)
    for dest, times in Counter(bind.dest for bind in clean).items():
        if times > 1:
            raise BindRefused(
                Text("destination {dest} is given {n} times; mount one thing at a place", dest=repr(dest), n=times)
            )
    return clean


def check_source(src: str) -> str:
    """Return `src` if it is an absolute path without `..`, or a legal volume name."""
    if src.startswith("/"):
        if ".." in src.split("/") or ":" in src or "\0" in src:
            raise BindRefused(Text("bind source {src} must not contain '..', ':' or NUL", src=repr(src[:200])))
    elif not _VOLUME.fullmatch(src):
        raise BindRefused(
            Text("bind source {src} is neither an absolute path nor a volume's name", src=repr(src[:200]))
        )
    return src


def check_destination(dest: str) -> str:
    """The normal form of `dest`, an absolute path in the container other than `/`."""
    if not dest.startswith("/") or ".." in dest.split("/") or ":" in dest or "\0" in dest:
        raise BindRefused(
            Text("bind destination {dest} must be an absolute path without '..' or ':'", dest=repr(dest[:200]))
        )
    normal = "/" + posixpath.normpath(dest).strip("/")
    if normal == "/":
        raise BindRefused(Text("bind destination '/' would hide the whole container; mount at a directory below it"))
    return normal
