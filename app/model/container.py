"""Containers: what a caller asks for, what is recorded of a version, and what Docker says about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from app.model.record import Port, Record, Word


@dataclass(frozen=True)
class Bind(Record):
    """A mount: `src` is a host directory (begins with "/") or a Docker volume, `dest` a path in the container."""

    src: str
    dest: str

    @property
    def is_volume(self) -> bool:
        """True if the source is a Docker volume."""
        return not self.src.startswith("/")


@dataclass(frozen=True)
class PortMapping(Record):
    """A TCP port of the container, published on a port of the host; host 0 means one from the configured range."""

    host: Port
    container: Port


@dataclass(frozen=True)
class Spec(Record):
    """Describe the container that a caller wants: all that the next version takes over from the one before."""

    image: str
    gpu_count: int = 0
    binds: tuple[Bind, ...] = ()
    env: tuple[Word, ...] = ()
    cmd: tuple[Word, ...] = ()
    ports: tuple[PortMapping, ...] = ()

    @property
    def volumes(self) -> list[str]:
        """The Docker volumes among its binds, each once."""
        return list(dict.fromkeys(bind.src for bind in self.binds if bind.is_volume))

    def with_gpus(self, count: int) -> Self:
        """The same with another number of GPUs."""
        return replace(self, gpu_count=count)

    def with_bind(self, old: Bind, new: Bind) -> Self:
        """The same with `new` in the place of `old`."""
        return replace(self, binds=tuple(new if bind == old else bind for bind in self.binds))

    def with_host_ports(self, hosts: Iterable[int]) -> Self:
        """The same with these host ports, in the order of `ports`."""
        ports = zip(hosts, self.ports, strict=True)
        return replace(self, ports=tuple(replace(port, host=host) for host, port in ports))


@dataclass(frozen=True)
class Image:
    """A local image: its id (`sha256:…`) and the mount points of its VOLUMEs."""

    id: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labels:
    """The labels that mark a Docker container as ours; the only place that knows their names is the engine."""

    node: str
    family: str
    version: int
    operation: str

    @property
    def name(self) -> str:
        """The versioned name of what they mark."""
        return f"{self.family}-{self.version}"


@dataclass(frozen=True)
class ContainerPlan:
    """A container to be created: the final name, the image by id, the GPUs by UUID.

    `anonymous` maps mount points to the volumes that an earlier version had there for its image's VOLUMEs.
    """

    name: str
    labels: Labels
    image_id: str
    spec: Spec
    gpus: tuple[str, ...] = ()
    anonymous: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """One of our containers as Docker lists it. `state` is Docker's word: created, running, paused, exited, …

    `status` is Docker's own sentence about it, like "Exited (137) 5 minutes ago"; empty where it was not listed.
    """

    id: str
    name: str
    state: str
    labels: Labels | None
    status: str = ""

    @property
    def running(self) -> bool:
        """True if its processes exist (paused ones too)."""
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True)
class Mount:
    """A container, ours or anybody's, that has a volume at `dest`.

    `started` is False if it has never run, `managed` is False if gpudock did not make it.
    """

    container: str
    dest: str
    running: bool
    started: bool
    managed: bool = True


@dataclass(frozen=True)
class Inspected(Observed):
    """A container seen closely.

    `anonymous` maps mount points to the volumes there that no bind names. `started` is False as long
    as it has never run. Of one that has ended: its exit code (above 128: by that signal plus 128), the time in
    seconds since 1970, and whether it was killed for want of memory.
    """

    image_id: str = ""
    anonymous: Mapping[str, str] = field(default_factory=dict)
    started: bool = False
    exit_code: int = 0
    ended: float | None = None
    out_of_memory: bool = False


@dataclass(frozen=True)
class ExecResult:
    """Hold the output of a command (UTF-8, undecodable bytes replaced), its exit code, and if output was cut."""

    stdout: str
    stderr: str
    exit_code: int | None
    truncated: bool
    timed_out: bool = False


@dataclass(frozen=True)
class VersionRecord(Record):
    """Record one version in etcd. Times are ISO 8601 in UTC.

    `gpus` are those it was created with; whether it still holds them only the claims say. `layer` is the
    directory where its writable layer was set aside when its container was deleted with the record kept.
    """

    family: str
    version: int
    node: str
    spec: Spec
    image_id: str
    container_id: str
    gpus: tuple[str, ...] = ()
    anonymous: Mapping[str, str] = field(default_factory=dict)
    parent: int | None = None
    why: str = ""
    created: str = ""
    layer: str | None = None
    removed: str | None = None

    @property
    def name(self) -> str:
        """The versioned name, which is also the container's name in Docker."""
        return f"{self.family}-{self.version}"


@dataclass(frozen=True)
class FamilyRecord(Record):
    """Record a family in etcd: its newest version, and if that should run.

    `desired` is "running", "stopped" or "removed" (its container is deleted, its record kept).
    """

    family: str
    node: str
    current: int
    desired: str
    created: str = ""
    updated: str = ""
