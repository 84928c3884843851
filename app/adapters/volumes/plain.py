"""The way `none`: plain Docker volumes, whose data are in Docker's own directories, without a limit."""

from pathlib import Path

from app.adapters.volumes import directories
from app.adapters.volumes.directories import Home
from app.adapters.volumes.docker import VolumeDetails, VolumeDocker
from app.adapters.volumes.errors import as_failure
from app.errors import VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.volume import NONE, Usage, VolumePlan


class PlainVolumes:
    """Makes and removes volumes without a limit."""

    def __init__(self, docker: VolumeDocker, home: Home) -> None:
        self._docker, self._home = docker, home

    def create(self, plan: VolumePlan) -> None:
        """Nothing but what Docker does."""
        self._docker.create(plan, NONE, {})

    def adopt(self, seen: VolumeDetails) -> None:
        """One that an operation made before is complete."""

    def usage(self, seen: VolumeDetails) -> Usage | None:
        """Nobody knows without walking through it."""
        return Usage()

    def ready(self, seen: VolumeDetails) -> None:
        """VolumeNotFound if somebody deleted its directory; there is nothing to mount."""
        if not seen.mountpoint.is_dir():
            raise VolumeNotFound(
                Text("the data of {name} is gone: {place} was deleted", name=seen.name, place=str(seen.mountpoint))
            )

    def place(self, seen: VolumeDetails) -> str:
        """Docker's directory."""
        self.ready(seen)
        return str(seen.mountpoint)

    def set_aside(self, seen: VolumeDetails) -> str:
        """Move the data into gpudock's home, and then remove the volume."""
        directory = self._home.directory(seen.name, seen.operation or "")
        with as_failure(VolumeDeleteFailed, Text("the data of {name} could not be set aside", name=seen.name)):
            self._home.make(directory)
            directories.move(seen.mountpoint, directory / "data")
            directories.make_like(seen.mountpoint, directory / "data")  # Docker looks for it when it removes it
            if not self._docker.remove(seen.name):
                seen.mountpoint.rmdir()
                directories.move(directory / "data", seen.mountpoint)
                self._docker.refuse_used(seen.name, stopped=True)
                raise VolumeInUse(Text("Docker does not let go of the volume {name}", name=seen.name))
        return self.put_aside(directory)

    def put_aside(self, directory: Path) -> str:
        """The last step of that."""
        return str(directory / "data")

    def discard(self, seen: VolumeDetails) -> None:
        """Remove the volume, or empty it if a stopped container names it."""
        if not self._docker.remove(seen.name):
            self._docker.refuse_used(seen.name, stopped=False)
            with as_failure(VolumeDeleteFailed, Text("{name} could not be emptied", name=seen.name)):
                directories.empty(seen.mountpoint)
