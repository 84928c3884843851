"""The driver `none`: plain Docker volumes, whose data are in Docker's own directories, without a limit."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.adapters.volumes import directories
from app.adapters.volumes.directories import Home
from app.adapters.volumes.docker import VolumeDocker
from app.adapters.volumes.errors import as_failure
from app.errors import VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.volume import NONE, Usage, VolumePlan
from app.ports import PlaceKind, VolumeDetails

T = TypeVar("T")
_DATA = "data"


class PlainDriver:
    """Implements `ports.VolumeDriver` without a limit. What is set aside is the directory `data` in gpudock's home."""

    name: str = NONE
    enforced_by: str | None = None

    def __init__(self, docker: VolumeDocker, home: Home) -> None:
        self._docker, self._home = docker, home

    def create(self, plan: VolumePlan) -> None:
        self._docker.create(plan, self.name, {})

    def complete(self, details: VolumeDetails) -> None:
        """Do nothing: Docker makes all of it at once."""

    def usage(self, details: VolumeDetails) -> Usage | None:
        return Usage()

    def ensure_mounted(self, details: VolumeDetails) -> None:
        if not details.mountpoint.is_dir():
            raise VolumeNotFound(
                Text(
                    "the data of {name} is gone: {place} was deleted", name=details.name, place=str(details.mountpoint)
                )
            )

    def data_path(self, details: VolumeDetails) -> str:
        self.ensure_mounted(details)
        return str(details.mountpoint)

    def set_aside(self, details: VolumeDetails) -> str:
        directory = self._home.directory(details.name, details.operation or "")
        data, mountpoint = directory / _DATA, details.mountpoint
        with as_failure(VolumeDeleteFailed, Text("the data of {name} could not be set aside", name=details.name)):
            self._home.make(directory)
            directories.move(mountpoint, data)
            directories.make_like(mountpoint, data)  # Docker looks for it when it removes it
            if not self._docker.remove(details.name):
                mountpoint.rmdir()
                directories.move(data, mountpoint)
                self._docker.refuse_used(details.name, stopped=True)
                raise VolumeInUse(Text("Docker does not let go of the volume {name}", name=details.name))
        return self._release(directory)

    def finish_set_aside(self, name: str) -> str | None:
        kept = (directory for directory in self._home.of_volume(name) if (directory / _DATA).is_dir())
        directory = next(kept, None)
        return self._release(directory) if directory else None

    def discard(self, details: VolumeDetails) -> None:
        if not self._docker.remove(details.name):
            self._docker.refuse_used(details.name, stopped=False)
            with as_failure(VolumeDeleteFailed, Text("{name} could not be emptied", name=details.name)):
                directories.empty(details.mountpoint)

    def finish_discard(self, name: str) -> None:
        """Do nothing: Docker removes all of it, or nothing."""

    def undo(self, operation: str) -> None:
        """Do nothing: there is nothing but what Docker has."""

    def place_kind(self, place: Path) -> PlaceKind | None:
        if place.name == "_data" and place.parent.parent == self._docker.root() / "volumes":
            return PlaceKind.VOLUME
        directory = self._home.owner(place)
        return PlaceKind.ASIDE if directory and place == directory / _DATA else None

    def open(self, place: Path) -> Path:
        return place

    def look(self, place: Path, at: Callable[[Path], T]) -> T:
        return at(place)

    def report(self, place: Path) -> Usage | None:
        return None

    def discard_aside(self, place: Path) -> None:
        if directory := self._home.owner(place):
            directories.delete(directory)

    def _release(self, directory: Path) -> str:
        """Do the last step of setting data aside, and return their place."""
        return str(directory / _DATA)
