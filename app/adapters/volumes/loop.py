"""The way `loop`: each volume has a filesystem of its own, and Docker binds the directory `data` in it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.adapters.volumes.directories import Home, fsync
from app.adapters.volumes.docker import VolumeDetails, VolumeDocker
from app.adapters.volumes.errors import as_failure
from app.adapters.volumes.image_file import Image
from app.errors import Unavailable, VolumeCreateFailed, VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.volume import LOOP, Usage, VolumePlan

_DOOMED = "discarded"
_NEEDS = Text(
    "GPUDOCK_VOLUMES=loop needs root, loop devices, ext4 and the programs of e2fsprogs and util-linux where Docker "
    "runs, and mounts that Docker sees too"
)


class LoopVolumes:
    """Makes, mounts and removes volumes that are filesystems in image files in `home`."""

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
        self.adopt(self._docker.create(plan, LOOP, options))

    def adopt(self, seen: VolumeDetails) -> None:
        """Make sure that Docker, which may run in a mount namespace of its own, sees what is mounted."""
        self.ready(seen)
        self._docker.mount_once(seen.name, seen.operation or "")

    def usage(self, seen: VolumeDetails) -> Usage | None:
        """How full it is, None if its image is gone."""
        with suppress(VolumeNotFound), _found(seen):
            return self._image(seen).usage()
        return None

    def ready(self, seen: VolumeDetails) -> None:
        """Mount it, unless it is mounted; VolumeNotFound if its image is gone."""
        with _found(seen):
            self._image(seen).mount()

    def place(self, seen: VolumeDetails) -> str:
        """The directory that containers see, mounted."""
        self.ready(seen)
        return str(self._image(seen).data)

    def set_aside(self, seen: VolumeDetails) -> str:
        """Take the volume from Docker and unmount the filesystem; its directory is the place."""
        if not self._docker.remove(seen.name):
            self._docker.refuse_used(seen.name, stopped=True)
            raise VolumeInUse(Text("Docker does not let go of the volume {name}", name=seen.name))
        return self.put_aside(self._image(seen).directory)

    def put_aside(self, directory: Path) -> str:
        """The last step of that."""
        with as_failure(VolumeDeleteFailed, Text("the volume in {place} could not be unmounted", place=str(directory))):
            Image(directory).unmount()
        return str(directory)

    def discard(self, seen: VolumeDetails) -> None:
        """Delete the filesystem; Docker keeps the volume if a stopped container names it, but cannot mount it.

        The mark tells a filesystem half deleted from one that was set aside, once Docker has no volume any more.
        """
        image = self._image(seen)
        mark = image.directory / _DOOMED
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=seen.name)):
            with suppress(FileNotFoundError):
                mark.touch()
                fsync(image.directory)
            if not self._docker.remove(seen.name):
                try:
                    self._docker.refuse_used(seen.name, stopped=False)
                except VolumeInUse:
                    mark.unlink(missing_ok=True)
                    raise
            image.delete()

    def _image(self, seen: VolumeDetails) -> Image:
        return Image(self._home.directory(seen.name, seen.operation or ""))


def doomed(directory: Path) -> bool:
    """Whether its volume was being discarded."""
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
def _found(seen: VolumeDetails) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise VolumeNotFound(Text("the data of {name} is gone: its image file was deleted", name=seen.name)) from exc
    except OSError as exc:
        message = Text("the filesystem of {name} cannot be mounted; see the kernel's log", name=seen.name)
        raise Unavailable("disk", message) from exc
