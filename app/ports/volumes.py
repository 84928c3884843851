"""The volumes of this host whose size is enforced by one of several drivers.

A *place* is a string that says where a volume's data is: `data_path` gives that of a volume, `set_aside` that of
data that no Docker volume holds any more. Every method may be repeated when it is unknown how far it came.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.model.alerts import DiskSpace
from app.model.volume import Usage, VolumePlan
from app.ports.transfer import Progress, Transfer


class VolumeReader(Protocol):
    """Look at volumes and at the disks that they are on; what is not mounted is not mounted by that either."""

    def usage(self, name: str) -> Usage | None:
        """Report how full the volume is; None if Docker has none of that name, or its data is gone."""

    def usages(self) -> dict[str, Usage]:
        """Report how full each volume is that gpudock made on this node, by name, without those whose data is gone.

        Of one whose driver is unknown here nothing is told: everything is None.
        """

    def free_bytes(self) -> int:
        """Report how much room the filesystem has on which volumes are made."""

    def disks(self) -> Sequence[DiskSpace]:
        """List the filesystems on which containers, images and volumes are, each once."""

    def data_path(self, name: str) -> str:
        """Find the place of the data, for `begin`; VolumeNotFound if it is gone."""

    def measure(self, place: str) -> tuple[int, int]:
        """Count bytes in use and files at a place: by its filesystem's report, else by walking through it."""

    def last_change(self, place: str) -> int:
        """Find the newest ctime (ns since 1970) of anything at a place: no program can set one back."""

    def names(self, family: str) -> list[str]:
        """List the volumes of that family that gpudock made on this node, recorded or not."""

    def made(self) -> Mapping[str, str]:
        """Name the operation that made it, by name of each volume that gpudock made on this node, recorded or not."""


class Volumes(VolumeReader, Protocol):
    """Make, fill and remove volumes."""

    def driver(self) -> str:
        """Name the driver of new volumes; with the setting `auto` the first that works here, found out by trying."""

    def create(self, plan: VolumePlan) -> str:
        """Create the volume, empty, by the driver that `driver` names, make sure of its size, and return the driver.

        Adopts what this operation created before. Raises VolumeExists for a name that Docker has already,
        VolumeCreateFailed, or Unavailable("disk").
        """

    def ensure_mounted(self, names: Sequence[str]) -> None:
        """Make sure that containers can mount these: after a reboot, filesystems of their own must be mounted first.

        Names of volumes that gpudock did not make are fine. Raises VolumeNotFound for one that is gone.
        """

    def begin(self, source: str, target: str, progress: Progress) -> Transfer:
        """Prepare to make the data at the place `target` equal to that at `source`; nothing is copied yet."""

    def sync(self, place: str) -> None:
        """Write everything at a place to its disk, and return then."""

    def set_aside(self, name: str, driver: str) -> str:
        """Remove the Docker volume but keep its data, and return the place. VolumeInUse if a container has it.

        `driver` is the one on record, for a volume that Docker has no more since an earlier call was broken off.
        """

    def discard(self, name: str) -> None:
        """Remove the volume and its data, once no container mounts it; nothing happens if it is gone already.

        Docker keeps a volume that a stopped container names: of that only an empty one is left.
        """

    def discard_aside(self, place: str) -> None:
        """Delete data that was set aside; nothing happens if it is gone already."""

    def undo(self, operation: str) -> None:
        """Remove whatever `create` made for that operation."""
