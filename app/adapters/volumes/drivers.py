"""The registry of volume drivers: one line for each; its name must be in `model.volume.DRIVERS` as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from app.adapters.volumes.directories import Home
from app.adapters.volumes.docker import VolumeDocker
from app.adapters.volumes.loop import LoopDriver
from app.adapters.volumes.plain import PlainDriver
from app.adapters.volumes.quota import QuotaDriver
from app.errors import VolumeDriverUnknown
from app.model.messages import Text
from app.model.volume import LOOP, NONE, QUOTA
from app.ports import PlaceKind, VolumeDetails, VolumeDriver


class DriverFactory(Protocol):
    """Make a driver over one Docker, as its class does."""

    def __call__(self, docker: VolumeDocker, home: Home) -> VolumeDriver:
        """Make it; nothing is connected to yet."""


# With the setting `auto` those that enforce a size are tried in this order.
DRIVERS: dict[str, DriverFactory] = {
    QUOTA: QuotaDriver,
    LOOP: LoopDriver,
    NONE: PlainDriver,
}


class Drivers:
    """The drivers over one Docker; a volume is handled by the one that its label or record names."""

    def __init__(self, docker: VolumeDocker) -> None:
        self._docker = docker

    def all(self) -> Iterator[VolumeDriver]:
        """Make every driver, in the order of the registry."""
        home = Home(self._docker.root())
        return (make(self._docker, home) for make in DRIVERS.values())

    def named(self, driver: str, volume: str) -> VolumeDriver:
        """Make the driver that is noted of a volume; VolumeDriverUnknown for a name that this gpudock does not know."""
        if driver not in DRIVERS:
            raise VolumeDriverUnknown(
                Text(
                    "the volume {name} was made with the driver {driver}, which this gpudock does not know; "
                    "run the version that made it, or a newer one",
                    name=volume,
                    driver=repr(driver),
                )
            )
        return DRIVERS[driver](self._docker, Home(self._docker.root()))

    def of(self, details: VolumeDetails) -> VolumeDriver:
        """Make the driver that the label of a volume of gpudock's names."""
        return self.named(details.driver or "", details.name)

    def at(self, place: Path) -> tuple[VolumeDriver, PlaceKind] | None:
        """Find the driver that gave out a place, and what that is; None for a directory that gpudock did not make."""
        for driver in self.all():
            if kind := driver.place_kind(place):
                return driver, kind
        return None
