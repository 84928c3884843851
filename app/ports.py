"""What the services need of the outside: etcd, Docker, the GPUs, the containers' layers and the host.

Adapters implement these; tests have working fakes of them. Every method may raise `Unavailable`
naming its part when that part does not answer in time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.model.adoption import UnmanagedContainer, UnmanagedVolume
from app.model.alerts import DiskSpace
from app.model.container import ContainerPlan, ExecResult, Image, Inspected, Mount, Observed
from app.model.gpu import Gpu, GpuEvent
from app.model.image import LocalImage, PullState
from app.model.volume import Usage, VolumePlan

# Told now and then, from the thread that copies, how many bytes are done and, once known, of how many. What it
# raises ends the copy and goes through to the caller.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Entry:
    """A stored key with its JSON object and the revision of its last change (`mod_revision`).

    `text` is what is there instead, if it is none; `value` is empty then.
    """

    key: str
    value: dict[str, Any]
    revision: int
    text: str | None = None


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

    def put_leased(self, key: str, value: Mapping[str, Any], seconds: int) -> None:
        """Let `key` have `value` for as long as this is called again within `seconds`.

        That it is gone, or still there, is a hint only. To be called by one thread for each key.
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

    def held_images(self) -> set[str]:
        """The ids of the images that have that tag, without those that a container, anybody's, was made of."""

    def volume_exists(self, name: str) -> bool:
        """Whether Docker has a volume of that name."""

    def volume_names(self) -> set[str]:
        """The names of all volumes that Docker has, whoever made them."""

    def volume(self, name: str) -> UnmanagedVolume | None:
        """How a volume was made, or None if Docker has none of that name."""

    def mounts(self) -> dict[str, list[Mount]]:
        """Which containers, ours or not, running or not, mount which volume, by the volume's name."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume unless a container still uses it; nothing happens if it is gone already."""

    def create(self, plan: ContainerPlan) -> str:
        """Create a container, not started, and return its id; adopt one that this operation created before.

        Raises ContainerExists if the name is taken by a container of anybody else.
        """

    def inspect(self, ref: str) -> Inspected | None:
        """The container, or None if there is none."""

    def describe(self, ref: str) -> UnmanagedContainer | None:
        """What anybody's container would be as one of ours, or None if there is none; ImageNotFound without its image.

        A spec cannot say everything: `differences` tells what it lost.
        """

    def differences(self, old: str, new: str) -> Sequence[str]:
        """What the container `old` has and `new`, made of its description, has not, in the words of `docker run`."""

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        """This node's labelled containers, running or not; of one family or one operation only, if given."""

    def start(self, ref: str) -> None:
        """Start it; StartRefused if the spec is at fault, PortTaken for a port in use, StartFailed otherwise."""

    def stop(self, ref: str) -> None:
        """Stop it: tell every process, wait for those that can react (bounded), then kill. Stopped is fine too."""

    def remove(self, ref: str) -> None:
        """Remove the container, running or not, and not its anonymous volumes; gone already is fine too."""

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        """Make an image of the container for an operation and return its id; CommitFailed if Docker cannot.

        Docker may make it even if its caller dies meanwhile; but its name it gets from the caller, at the end.
        Raises InvalidRequest for a name that no image can have.
        """

    def name_commit(self, operation: str, image_name: str) -> bool:
        """Give the image that `commit` made for an operation its name, once more if need be.

        False if there is no such image, or if another one has the name by now.
        """

    def nameless_commits(self) -> set[str]:
        """The operations whose commits made images that have no name."""

    def drop_commit(self, operation: str) -> None:
        """Remove the nameless image that `commit` made for an operation; nothing happens if there is none."""

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        """Run a command in the container for at most `timeout` seconds, keeping `cap` bytes of each stream.

        Raises ContainerNotRunning, or CommandRefused if there is no such command or directory.
        """

    def logs(self, ref: str, tail: int) -> str:
        """The last `tail` lines that its main process printed, at most 1 MiB."""


class Images(Protocol):
    """The images of this host's Docker."""

    def all(self) -> Sequence[LocalImage]:
        """Every image but those that only others are built on, the newest first."""

    def users(self) -> Mapping[str, set[str]]:
        """The names of the containers, anybody's, running or not, that were made of an image, by the image's id."""

    def pull(self, name: str, tell: Callable[[PullState], None]) -> None:
        """Load an image from its registry; `tell` hears how far it is at least every second, and ends it by raising.

        Raises RegistryUnreachable, ImageNotInRegistry or ImagePullFailed.
        """

    def tag(self, image_id: str, name: str) -> None:
        """Give the image one more name, taken from any other image; ImageNotFound, InvalidRequest for the name."""

    def remove(self, name: str) -> None:
        """Take a name away, or with an id the image itself; the last name goes with the image.

        Nothing happens if it is gone already. ImageInUse if a container or an image that was built on it needs it.
        """


class Inventory(Protocol):
    """The GPUs of this host."""

    def uuids(self) -> Sequence[str]:
        """The UUIDs of all GPUs, by index: cheap, may be a second old."""

    def gpus(self) -> Sequence[Gpu]:
        """Every GPU with its readings, faults and processes, now."""

    def events(self) -> Sequence[GpuEvent]:
        """The XID errors since this process's last call, without waiting for any; those before the first are unknown.

        To be called from one place, since each event is told once.
        """


class Layers(Protocol):
    """Carries writable layers (overlay2 upper directories of this host) from container to container."""

    def begin(self, source: str, target: str, progress: Progress) -> "Transfer":
        """Prepare to make `target` equal to `source`, whatever is in `target`; nothing is copied yet."""

    def measure(self, path: str) -> tuple[int, int]:
        """Bytes and number of files in a layer, by walking through it."""

    def sync(self, path: str) -> None:
        """Return once everything written to the filesystem of `path` is on disk."""

    def set_aside(self, layer: str, name: str) -> str:
        """Move a layer out of Docker's reach on the same filesystem, and return its new path."""

    def discard(self, path: str) -> None:
        """Delete a layer that was set aside; nothing happens if it is gone already."""


class Transfer(Protocol):
    """One directory tree on its way. Raises LayerCopyFailed, or Unavailable("disk") when there is no room."""

    def copy_live(self) -> None:
        """First pass, optional, while the source is still written to."""

    def settle(self) -> None:
        """Instead of `finish` where writers are not stopped: as `finish`, but what vanishes meanwhile is no failure."""

    def finish(self) -> None:
        """Make `target` exactly equal to `source`, which nobody writes to any more."""


class Volumes(Protocol):
    """Docker volumes of this host whose size is enforced in one of several ways (domain.volumes.WAYS).

    A *place* is a string that says where a volume's data is: `place` gives that of a volume, `set_aside` that of
    data that no Docker volume holds any more. Every method may be repeated when it is unknown how far it came.
    """

    def way(self) -> str:
        """How new volumes are made; with the setting `auto` the first way that works here, found out by trying it."""

    def create(self, plan: VolumePlan) -> str:
        """Create it, empty, in the way of `way`, and make sure that its size is enforced; the way that it was.

        Adopts what this operation created before. Raises VolumeExists for a name that Docker has already,
        VolumeCreateFailed, or Unavailable("disk").
        """

    def usage(self, name: str) -> Usage | None:
        """How full it is; None if Docker has no volume of that name."""

    def usages(self) -> dict[str, Usage]:
        """How full each volume is that gpudock made on this node, by name; those whose data is gone are left out."""

    def free_bytes(self) -> int:
        """How much room the filesystem has on which volumes are made."""

    def rooms(self) -> Sequence[DiskSpace]:
        """The filesystems on which containers, images and volumes are, each once."""

    def ready(self, names: Sequence[str]) -> None:
        """Make sure that containers can mount these: after a reboot, filesystems of their own must be mounted first.

        Names of volumes that gpudock did not make are fine. Raises VolumeNotFound for one that is gone.
        """

    def place(self, name: str) -> str:
        """Where its data is, for `begin`; VolumeNotFound if it is gone."""

    def begin(self, source: str, target: str, progress: Progress) -> Transfer:
        """Prepare to make the data at the place `target` equal to that at `source`; nothing is copied yet."""

    def sync(self, place: str) -> None:
        """Return once everything written there is on disk."""

    def measure(self, place: str) -> tuple[int, int]:
        """Bytes in use and number of files at a place: by its filesystem's report, else by walking through it."""

    def last_change(self, place: str) -> int:
        """The newest ctime (ns since 1970) of anything at a place: no program can set one back."""

    def names(self, family: str) -> list[str]:
        """The volumes of that family that gpudock made on this node, recorded or not."""

    def made(self) -> Mapping[str, str]:
        """By its name, which operation made each volume that gpudock made on this node, recorded or not."""

    def set_aside(self, name: str) -> str:
        """Remove the Docker volume but keep its data, and return the place. VolumeInUse if a container has it."""

    def discard(self, name: str) -> None:
        """Remove the volume and its data, once no container mounts it; nothing happens if it is gone already.

        Docker keeps a volume that a stopped container names: of that only an empty one is left.
        """

    def discard_aside(self, place: str) -> None:
        """Delete data that was set aside; nothing happens if it is gone already."""

    def undo(self, operation: str) -> None:
        """Remove whatever `create` made for that operation."""


# What `Signals.wait` says when Docker is heard for the first time, and again after it had been away, however shortly.
DOCKER_IS_BACK = "docker connected"


class Signals(Protocol):
    """Hints that something changed in etcd or Docker: never complete, so one looks at everything now and then too."""

    def wait(self, seconds: float) -> str | None:
        """What changed, in a few words, as soon as something did; None when the time is up or after `close`."""

    def close(self) -> None:
        """Stop listening; a `wait` of another thread returns."""


@dataclass(frozen=True)
class Message:
    """An HTTP request: `target` is its path with the query, as they are sent."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Peers(Protocol):
    """The gpudocks of other nodes."""

    def ask(self, node: str, url: str, message: Message) -> Reply:
        """Send a request to the one of `node`, once; its answer, whatever it is.

        Raises NodeUnreachable if the request certainly never arrived, NodeCutOff if it may have.
        """


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
