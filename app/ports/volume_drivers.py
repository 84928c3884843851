"""The drivers of volumes: what each way to enforce a volume's size must do."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, TypeVar

from app.model.container import Labels
from app.model.volume import Usage, VolumePlan

T = TypeVar("T")


class PlaceKind(Enum):
    """Say what a place is: the data of a volume, or data that no Docker volume holds any more."""

    VOLUME = "volume"
    ASIDE = "aside"


@dataclass(frozen=True)
class VolumeDetails:
    """Describe a volume as Docker does; `labels`, `driver` and `size` (bytes) are None if gpudock did not make it."""

    name: str
    mountpoint: Path
    labels: Labels | None
    driver: str | None
    size: int | None

    @property
    def operation(self) -> str | None:
        """Name the operation that made the volume."""
        return self.labels.operation if self.labels else None


class VolumeDriver(Protocol):
    """Make, mount, set aside and remove the volumes whose label names this driver.

    The label is written when a volume is made, and nothing else says whose it is. Every method may be repeated, by any
    process, when it is unknown how far it came. Where a method has nothing to say of errors it raises the ones of
    `ports.Volumes`.
    """

    @property
    def name(self) -> str:
        """Give the driver's name, as it stands in labels, records and the setting GPUDOCK_VOLUMES."""

    @property
    def enforced_by(self) -> str | None:
        """Say in a few words for `doctor` what enforces a size; None for a driver that does not."""

    def create(self, plan: VolumePlan) -> None:
        """Create the volume, empty, labelled with the driver's name, and make sure that its size is enforced."""

    def complete(self, details: VolumeDetails) -> None:
        """Complete a volume that a `create` of the same operation left, of whatever step it died in."""

    def usage(self, details: VolumeDetails) -> Usage | None:
        """Report how full the volume is, see `look`; None or VolumeNotFound if its data is gone. Raises OSError."""

    def ensure_mounted(self, details: VolumeDetails) -> None:
        """Mount what containers need to see the data; VolumeNotFound if that is gone."""

    def data_path(self, details: VolumeDetails) -> str:
        """Find the volume's place, mounted or not; VolumeNotFound if its data is gone."""

    def set_aside(self, details: VolumeDetails) -> str:
        """Remove the Docker volume but keep its data, and return their place; VolumeInUse if a container has it."""

    def finish_set_aside(self, name: str) -> str | None:
        """Finish a `set_aside` after which Docker has no volume any more: the place, None if there is no such data."""

    def discard(self, details: VolumeDetails) -> None:
        """Remove the volume and its data; if a stopped container names it, Docker keeps an empty one."""

    def finish_discard(self, name: str) -> None:
        """Delete what a `discard` left that broke off when Docker had no volume any more."""

    def undo(self, operation: str) -> None:
        """Delete what a `create` of that operation left without a Docker volume."""

    def place_kind(self, place: Path) -> PlaceKind | None:
        """Tell by its form alone what a place is; None if it is none that this driver gives out."""

    def open(self, place: Path) -> Path:
        """Mount what must be mounted for a place of this driver, and return the directory of its data; OSError."""

    def look(self, place: Path, at: Callable[[Path], T]) -> T:
        """Let `at` look at the directory of a place's data; that mounts nothing for anybody else. Raises OSError."""

    def report(self, place: Path) -> Usage | None:
        """Report how much there is at a place, see `look`; None if its filesystem does not tell. Raises OSError."""

    def discard_aside(self, place: Path) -> None:
        """Delete data that was set aside, with all that was kept for it; gone already is fine. Raises OSError."""
