"""The driver `loop`: each volume has a filesystem of its own, and Docker binds the directory `data` in it."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from app.adapters.volumes.directories import Home, fsync
from app.adapters.volumes.docker import VolumeDocker
from app.adapters.volumes.errors import as_failure
from app.adapters.volumes.image_file import Image
from app.errors import Unavailable, VolumeCreateFailed, VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.volume import LOOP, Usage, VolumePlan
from app.ports import PlaceKind, VolumeDetails

T = TypeVar("T")
_DOOMED = "discarded"
_NEEDS = Text(
    "GPUDOCK_VOLUMES=loop needs root, loop devices, ext4 and the programs of e2fsprogs and util-linux where Docker "
    "runs, and mounts that Docker sees too"
)


class LoopDriver:
    """Implements `ports.VolumeDriver` by filesystems in image files in `home`; one set aside is its directory."""

    name = LOOP
    enforced_by = "a filesystem for each volume (loop)"

    def __init__(self, docker: VolumeDocker, home: Home) -> None:
        self._docker, self._home = docker, home

    def create(self, plan: VolumePlan) -> None:
        """Make the filesystem first: once Docker has the volume, it is complete."""
        image = Image(self._home.directory(plan.name, plan.labels.operation))
        with as_failure(VolumeCreateFailed, Text("{name} could not be made; {needs}", name=plan.name, needs=_NEEDS)):
            self._home.make(image.directory)
            with _size_possible(plan):
                image.make(plan.size.bytes)
        options = {"type": "none", "o": "bind", "device": str(image.data)}
        self.complete(self._docker.create(plan, self.name, options))

    def complete(self, details: VolumeDetails) -> None:
        """Make sure that Docker, which may run in a mount namespace of its own, sees what is mounted."""
        self.ensure_mounted(details)
        self._docker.mount_once(details.name, details.operation or "")

    def usage(self, details: VolumeDetails) -> Usage | None:
        with suppress(VolumeNotFound), _found(details):
            return self._image(details).usage()
        return None

    def ensure_mounted(self, details: VolumeDetails) -> None:
        with _found(details):
            self._image(details).mount()

    def data_path(self, details: VolumeDetails) -> str:
        with _found(details):
            self._image(details).check()
        return str(self._image(details).data)

    def set_aside(self, details: VolumeDetails) -> str:
        if not self._docker.remove(details.name):
            self._docker.refuse_used(details.name, stopped=True)
            raise VolumeInUse(Text("Docker does not let go of the volume {name}", name=details.name))
        return self._release(self._image(details).directory)

    def finish_set_aside(self, name: str) -> str | None:
        kept = (path for path in self._home.of_volume(name) if not _doomed(path) and Image(path).file.exists())
        directory = next(kept, None)
        return self._release(directory) if directory else None

    def discard(self, details: VolumeDetails) -> None:
        """Delete the filesystem; Docker keeps the volume if a stopped container names it, but cannot mount it.

        The mark tells a filesystem half deleted from one that was set aside, once Docker has no volume any more.
        """
        image = self._image(details)
        mark = image.directory / _DOOMED
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=details.name)):
            with suppress(FileNotFoundError):
                mark.touch()
                fsync(image.directory)
            if not self._docker.remove(details.name):
                try:
                    self._docker.refuse_used(details.name, stopped=False)
                except VolumeInUse:
                    mark.unlink(missing_ok=True)
                    raise
            image.delete()

    def finish_discard(self, name: str) -> None:
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=name)):
            for directory in filter(_doomed, self._home.of_volume(name)):
                Image(directory).delete()

    def undo(self, operation: str) -> None:
        with as_failure(VolumeDeleteFailed, Text("what operation {id} made could not be deleted", id=operation)):
            for directory in self._home.of_operation(operation):
                Image(directory).delete()

    def place_kind(self, place: Path) -> PlaceKind | None:
        directory = self._home.owner(place)
        if directory is None:
            return None
        kinds = {directory: PlaceKind.ASIDE, Image(directory).data: PlaceKind.VOLUME}
        return kinds.get(place)

    def open(self, place: Path) -> Path:
        image = self._at(place)
        image.mount()
        return image.data

    def look(self, place: Path, at: Callable[[Path], T]) -> T:
        return self._at(place).look(lambda root: at(root / "data"))

    def report(self, place: Path) -> Usage | None:
        return self._at(place).usage()

    def discard_aside(self, place: Path) -> None:
        self._at(place).delete()

    def _release(self, directory: Path) -> str:
        """Do the last step of setting data aside, and return their place."""
        with as_failure(VolumeDeleteFailed, Text("the volume in {place} could not be unmounted", place=str(directory))):
            Image(directory).unmount()
        return str(directory)

    def _at(self, place: Path) -> Image:
        return Image(self._home.owner(place) or place)

    def _image(self, details: VolumeDetails) -> Image:
        return Image(self._home.directory(details.name, details.operation or ""))


def _doomed(directory: Path) -> bool:
    return (directory / _DOOMED).exists()


@contextmanager
def _size_possible(plan: VolumePlan) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno != errno.EFBIG:
            raise
        raise VolumeCreateFailed(
            Text(
                "{size} is more than a file on the filesystem of Docker's root can have; choose a smaller size",
                size=plan.size.text,
            )
        ) from exc


@contextmanager
def _found(details: VolumeDetails) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise VolumeNotFound(Text("the data of {name} is gone: its image file was deleted", name=details.name)) from exc
    except OSError as exc:
        message = Text("the filesystem of {name} cannot be mounted; see the kernel's log", name=details.name)
        raise Unavailable("disk", message) from exc
