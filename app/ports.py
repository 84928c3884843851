"""What the services need of the outside: etcd, Docker, the GPUs, the containers' layers and the host.

Adapters implement these; tests have working fakes of them. Every method may raise `Unavailable`
naming its part when that part does not answer in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.domain.containers import ContainerPlan, ExecResult, Image, Inspected, Observed
from app.domain.gpus import Gpu


@dataclass(frozen=True)
class Entry:
    """A stored key with its JSON value and the revision of its last change (`mod_revision`)."""

    key: str
    value: dict[str, Any]
    revision: int


@dataclass(frozen=True)
class Put:
    """Write `value` at `key`."""

    key: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete `key`, or with `prefix` every key that begins with it."""

    key: str
    prefix: bool = False


class Store(Protocol):
    """The truth, in etcd. Keys are relative to the configured prefix and begin with "/"."""

    def get(self, key: str) -> Entry | None:
        """The entry at `key`, or None."""

    def list(self, *prefixes: str) -> list[Entry]:
        """Every entry under the prefixes, by key, all as of one revision."""

    def transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        """Apply `writes` if each key of `expected` has that revision (0: does not exist); the new revision.

        None, and nothing written, if an expectation fails. Raises OutcomeUnknown if the connection broke
        so that it may or may not have happened; plain Unavailable if it certainly did not.
        """

    def ping(self) -> str:
        """The server's version."""


class Engine(Protocol):
    """The Docker engine of this host. `ref` is a container's id or name."""

    def ping(self) -> str:
        """The engine's version."""

    def image(self, name: str) -> Image:
        """The local image of that name, tag, digest or id; ImageNotFound if there is none."""

    def hold_image(self, image_id: str) -> None:
        """Give the image a tag of ours, so that no prune takes it while a record needs it."""

    def release_image(self, image_id: str) -> None:
        """Take that tag away; nothing happens if it is gone already."""

    def volume_exists(self, name: str) -> bool:
        """Whether Docker has a volume of that name."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume unless a container still uses it; nothing happens if it is gone already."""

    def create(self, plan: ContainerPlan) -> str:
        """Create a container, not started, and return its id; adopt one that this operation created before.

        Raises ContainerExists if the name is taken by a container of anybody else.
        """

    def inspect(self, ref: str) -> Inspected | None:
        """The container, or None if there is none."""

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        """This node's labelled containers, running or not; of one family or one operation only, if given."""

    def start(self, ref: str) -> None:
        """Start it; StartRefused if the spec is at fault, PortTaken for a port in use, StartFailed otherwise."""

    def stop(self, ref: str) -> None:
        """Stop it: tell every process, wait for those that can react (bounded), then kill. Stopped is fine too."""

    def remove(self, ref: str) -> None:
        """Remove the container, running or not, and not its anonymous volumes; gone already is fine too."""

    def commit(self, ref: str, image_name: str) -> str:
        """Make an image of the container and return its id; CommitFailed if Docker cannot."""

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        """Run a command in the container for at most `timeout` seconds, keeping `cap` bytes of each stream.

        Raises ContainerNotRunning, or CommandRefused if there is no such command or directory.
        """

    def logs(self, ref: str, tail: int) -> str:
        """The last `tail` lines that its main process printed, at most 1 MiB."""


class Inventory(Protocol):
    """The GPUs of this host."""

    def uuids(self) -> Sequence[str]:
        """The UUIDs of all GPUs, by index: cheap, may be a second old."""

    def gpus(self) -> Sequence[Gpu]:
        """Every GPU with its readings, faults and processes, now."""


class Layers(Protocol):
    """Carries writable layers (overlay2 upper directories of this host) from container to container."""

    def begin(self, source: str, target: str) -> "Transfer":
        """Prepare to make `target` equal to `source`, whatever is in `target`; nothing is copied yet."""

    def sync(self, path: str) -> None:
        """Return once everything written to the filesystem of `path` is on disk."""

    def set_aside(self, layer: str, name: str) -> str:
        """Move a layer out of Docker's reach on the same filesystem, and return its new path."""

    def discard(self, path: str) -> None:
        """Delete a layer that was set aside; nothing happens if it is gone already."""


class Transfer(Protocol):
    """One layer on its way. Raises LayerCopyFailed, or Unavailable("disk") when the disk is full."""

    def copy_live(self) -> None:
        """First pass, optional, while the container of `source` still runs and writes."""

    def finish(self) -> None:
        """Make `target` exactly equal to `source`, which nobody writes to any more."""


class Host(Protocol):
    """The machine that the Docker engine runs on."""

    def port_free(self, port: int) -> bool:
        """Whether nobody listens on the TCP port."""

    def real_directory(self, path: str) -> str:
        """`path` with every symlink resolved (what does not exist yet stays as it is)."""

    def process_alive(self, token: str) -> bool:
        """Whether the process that `own_token` described in some process still lives."""

    def own_token(self) -> str:
        """A string that tells this process from every other one, past and present."""
