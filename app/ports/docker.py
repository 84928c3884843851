"""Docker: the containers, images and volumes of this host's engine, and commands in containers.

Each part has a reader, without any method that changes something, for whoever only looks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from app.model.adoption import UnmanagedContainer, UnmanagedVolume
from app.model.container import ContainerPlan, ExecResult, Image, Inspected, Mount, Observed
from app.model.image import LocalImage, PullState


class ContainerReader(Protocol):
    """Look at the containers of this host's Docker. `ref` is a container's id or name."""

    def ping(self) -> str:
        """Tell the version of the engine."""

    def inspect(self, ref: str) -> Inspected | None:
        """Look at the container closely; None if there is none."""

    def describe(self, ref: str) -> UnmanagedContainer | None:
        """Describe anybody's container as one of ours; None if there is none, ImageNotFound without its image.

        A spec cannot say everything: `differences` tells what it lost.
        """

    def differences(self, old: str, new: str) -> Sequence[str]:
        """List what container `old` has and `new`, made of its description, has not, in the words of `docker run`."""

    def mounts(self) -> dict[str, list[Mount]]:
        """List the containers, ours or not, running or not, that mount a volume, by the name of the volume."""

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        """List this node's labelled containers, running or not; of one family or one operation only, if given."""


class Containers(ContainerReader, Protocol):
    """Make, start, stop and remove containers."""

    def create(self, plan: ContainerPlan) -> str:
        """Create a container, not started, and return its id; adopt one that this operation created before.

        Raises ContainerExists if a container of anybody else has the name, ImageNotFound, and StartRefused with
        Docker's reason if it does not accept the spec.
        """

    def start(self, ref: str) -> None:
        """Start the container.

        Raises StartRefused if the spec is at fault, PortTaken for a port in use, StartFailed otherwise.
        """

    def stop(self, ref: str) -> None:
        """Stop the container: tell every process, wait for those that can react (bounded), then kill.

        One that is stopped already is fine too.
        """

    def remove(self, ref: str) -> None:
        """Remove the container, running or not, and not its anonymous volumes; gone already is fine too."""


class ImageReader(Protocol):
    """Look at the images of this host's Docker."""

    def image(self, name: str) -> Image:
        """Find the local image of that name, tag, digest or id; ImageNotFound if there is none."""

    def held_images(self) -> set[str]:
        """List the ids of images that `hold_image` tagged, without those that a container, anybody's, was made of."""

    def nameless_commits(self) -> set[str]:
        """List the operations whose commits made images that have no name."""

    def all(self) -> Sequence[LocalImage]:
        """List every image but those that only others are built on, the newest first."""

    def users(self) -> Mapping[str, set[str]]:
        """List by the image's id the names of the containers, anybody's, running or not, that were made of it."""


class Images(ImageReader, Protocol):
    """Pull, name, hold and remove images, and make them of containers."""

    def hold_image(self, image_id: str) -> None:
        """Give the image a tag of ours, so that no prune takes what a record needs; ImageNotFound if it is gone."""

    def release_image(self, image_id: str) -> None:
        """Take that tag away, and with it an image that has no other name and no container; gone already is fine."""

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        """Make an image of the container for an operation and return its id; CommitFailed if Docker cannot.

        Docker may make it even if its caller dies meanwhile; but its name it gets from the caller, at the end.
        Raises InvalidRequest for a name that no image can have.
        """

    def name_commit(self, operation: str, image_name: str) -> bool:
        """Give the image that `commit` made for an operation its name, once more if need be.

        False if there is no such image, or if another one has the name by now.
        """

    def drop_commit(self, operation: str) -> None:
        """Remove the nameless image that `commit` made for an operation; nothing happens if there is none."""

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


class DockerVolumeReader(Protocol):
    """Look at the volumes of this host's Docker, whoever made them."""

    def volume_exists(self, name: str) -> bool:
        """Tell if Docker has a volume of that name."""

    def volume_names(self) -> set[str]:
        """List the names of all volumes that Docker has, whoever made them."""

    def volume(self, name: str) -> UnmanagedVolume | None:
        """Describe how a volume was made; None if Docker has none of that name."""


class DockerVolumes(DockerVolumeReader, Protocol):
    """Remove volumes without data that anybody needs, as anonymous ones are; `Volumes` handles gpudock's own."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume unless a container still uses it; nothing happens if it is gone already."""


class Exec(Protocol):
    """Run commands in containers, and read what their main processes print."""

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        """Run a command in the container for at most `timeout` seconds, keeping `cap` bytes of each stream.

        Raises ContainerNotRunning, or CommandRefused if there is no such command or directory.
        """

    def logs(self, ref: str, tail: int) -> str:
        """Read the last `tail` lines that the main process of the container printed, at most the last 1 MiB of them."""
