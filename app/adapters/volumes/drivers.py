"""Docker volumes with an enforced size, in the way that the host can do."""

import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress

from app.adapters.docker.client import Clients
from app.adapters.filesystem import room
from app.adapters.treecopy.transfer import TreeTransfer
from app.adapters.volumes.directories import Home, locked
from app.adapters.volumes.docker import VolumeDetails, VolumeDocker, taken
from app.adapters.volumes.errors import as_failure, on_disk
from app.adapters.volumes.image_file import Image
from app.adapters.volumes.locations import Places, persist
from app.adapters.volumes.loop import LoopVolumes, doomed
from app.adapters.volumes.plain import PlainVolumes
from app.adapters.volumes.quota import QuotaVolumes
from app.errors import DomainError, VolumeCreateFailed, VolumeDeleteFailed, VolumeNotFound
from app.model.alerts import DiskSpace
from app.model.container import Labels
from app.model.messages import Text
from app.model.sizes import parse_size
from app.model.volume import LOOP, NONE, QUOTA, Usage, VolumePlan
from app.ports import Progress

AUTO = "auto"
_TRIAL = "trial"


class SizedVolumes:
    """Implements `ports.Volumes` for the engine that `clients` speak to; it need not be up yet.

    `setting` is auto or one of domain.volumes.WAYS and decides how new volumes are made; one that exists is always
    handled in the way that its label says.
    """

    def __init__(self, clients: Clients, node: str, setting: str) -> None:
        self._docker = VolumeDocker(clients, node)
        self._node, self._setting = node, setting
        self._trying = threading.Lock()
        self._found: str | None = None

    def driver(self) -> str:
        """The setting, or with auto the first way that works; nothing is concluded while Docker is down.

        That none works is found out anew each time: it may have been a passing trouble.
        """
        if self._setting != AUTO:
            return self._setting
        with self._trying:
            found = self._found or self._first_that_works()
            self._found = None if found == NONE else found
            return found

    def create(self, plan: VolumePlan) -> str:
        """Create it, empty, and make sure that its size is enforced; adopt what this operation created before.

        Returns the way in which it was made. Raises VolumeExists for a name that Docker has already,
        VolumeCreateFailed, or Unavailable("disk").
        """
        return self._create(plan, self.driver())

    def usage(self, name: str) -> Usage | None:
        """How full it is; None if Docker has no volume of that name, or its data is gone."""
        seen = self._docker.inspect(name)
        return self._usage(seen) if seen else None

    def usages(self) -> dict[str, Usage]:
        """How full each of this node's own volumes is, by name; without those whose data is gone."""
        found = {seen.name: self._usage(seen) for seen in self._docker.list()}
        return {name: usage for name, usage in found.items() if usage is not None}

    def free_bytes(self) -> int:
        """How much room the filesystem of Docker's root has."""
        root = self._docker.root()
        with on_disk(Text("the room under {place} is unknown", place=str(root))):
            status = os.statvfs(root)
        return status.f_bavail * status.f_frsize

    def disks(self) -> list[DiskSpace]:
        """The filesystems of Docker's root, and of gpudock's volumes if that is another one."""
        root = self._docker.root()
        with on_disk(Text("the room under {place} is unknown", place=str(root))):
            places = {path.stat().st_dev: path for path in (Home(root).path, root) if path.exists()}
            return [room(path) for path in places.values()]

    def ensure_mounted(self, names: Sequence[str]) -> None:
        """Mount what has a filesystem of its own; VolumeNotFound for a volume that is gone, or whose data are."""
        for name in names:
            seen = self._get(name)
            if seen.labels:
                self._way(seen).ready(seen)

    def data_path(self, name: str) -> str:
        """The directory that containers see, mounted; VolumeNotFound if it is gone."""
        seen = self._get(name)
        return self._way(seen).place(seen) if seen.labels else str(seen.mountpoint)

    def begin(self, source: str, target: str, progress: Progress) -> TreeTransfer:
        """Check both places, mount what must be mounted, and copy nothing yet; LayerCopyFailed if one is no place."""
        return self._places().begin(source, target, progress)

    def sync(self, place: str) -> None:
        """Return once everything written to the place's filesystem is on disk."""
        self._places().sync(place)

    def measure(self, place: str) -> tuple[int, int]:
        """Bytes in use and number of files at a place: by its filesystem's report, else by walking through it."""
        return self._places().measure(place)

    def last_change(self, place: str) -> int:
        """The newest ctime, ns since 1970, of anything at a place, its directory included."""
        return self._places().last_change(place)

    def names(self, family: str) -> list[str]:
        """The volumes of that family that gpudock made on this node, recorded or not."""
        return sorted(seen.name for seen in self._docker.list(family=family))

    def made(self) -> dict[str, str]:
        """By its name, which operation made each volume that gpudock made on this node, recorded or not."""
        return {seen.name: seen.labels.operation for seen in self._docker.list() if seen.labels}

    def set_aside(self, name: str) -> str:
        """Remove the Docker volume but keep its data, and return the place; VolumeInUse if a container has it."""
        seen = self._docker.inspect(name)
        if seen is None:
            return self._set_aside_before(name)
        self._refuse_foreign(seen)
        self._docker.refuse_used(name, stopped=True)
        return self._way(seen).set_aside(seen)

    def discard(self, name: str) -> None:
        """Remove the volume and its data; VolumeInUse if a running container mounts it. Gone already is fine.

        Of one that a stopped container names Docker keeps an empty one.
        """
        seen = self._docker.inspect(name)
        if seen is None:
            self._delete_doomed(name)
            return
        self._refuse_foreign(seen)
        self._docker.refuse_used(name, stopped=False)
        self._way(seen).discard(seen)

    def discard_aside(self, place: str) -> None:
        """Delete data that was set aside; nothing happens if it is gone already."""
        self._places().discard(place)

    def undo(self, operation: str) -> None:
        """Remove whatever `create` made for that operation, and what it needed for a moment."""
        self._docker.sweep(operation)
        for seen in self._docker.list(operation=operation):
            self._way(seen).discard(seen)
        with as_failure(VolumeDeleteFailed, Text("what operation {id} made could not be deleted", id=operation)):
            for directory in self._home().of_operation(operation):
                Image(directory).delete()

    def _usage(self, seen: VolumeDetails) -> Usage | None:
        silent = Text("the filesystem of {name} does not tell how full it is", name=seen.name)
        with on_disk(silent), suppress(VolumeNotFound):
            return self._way(seen).usage(seen) if seen.labels else Usage()
        return None

    def _create(self, plan: VolumePlan, chosen: str) -> str:
        if seen := self._docker.inspect(plan.name):
            if seen.operation != plan.labels.operation:
                raise taken(plan.name)
            self._way(seen).adopt(seen)
            return seen.way or NONE
        try:
            self._ways()[chosen].create(plan)
            self._persist(plan.name)
        except DomainError:
            with suppress(DomainError):  # as far as possible: whoever called `create` undoes it too
                self.undo(plan.labels.operation)
            raise
        return chosen

    def _persist(self, name: str) -> None:
        seen = self._get(name)
        unwritten = Text("what Docker noted of {name} could not be written to disk", name=name)
        with as_failure(VolumeCreateFailed, unwritten):
            persist(seen.mountpoint)

    def _first_that_works(self) -> str:
        for way in (QUOTA, LOOP):
            with suppress(VolumeCreateFailed):
                self._try(way)
                return way
        return NONE

    def _try(self, way: str) -> None:
        """Make a small volume in that way and remove it; VolumeCreateFailed if it does not work."""
        home = self._home()
        with as_failure(VolumeCreateFailed, Text("{place} cannot be used", place=str(home.path))):
            home.make()
            # One at a time, so that whatever a trial finds of others was left behind by a dead one.
            with locked(home.path):
                self.undo(_TRIAL)
                labels = Labels(self._node, f"gpudock.trial.{secrets.token_hex(4)}", 0, _TRIAL)
                self._create(VolumePlan(labels, parse_size("1MB")), way)
                self.undo(_TRIAL)

    def _set_aside_before(self, name: str) -> str:
        for directory in self._home().of_volume(name):
            if not doomed(directory):
                way = LOOP if Image(directory).file.exists() else QUOTA
                return self._ways()[way].put_aside(directory)
        raise VolumeNotFound(Text("there is no volume {name}", name=name))

    def _delete_doomed(self, name: str) -> None:
        with as_failure(VolumeDeleteFailed, Text("{name} could not be deleted", name=name)):
            for directory in filter(doomed, self._home().of_volume(name)):
                Image(directory).delete()

    def _get(self, name: str) -> VolumeDetails:
        if seen := self._docker.inspect(name):
            return seen
        raise VolumeNotFound(Text("there is no volume {name}", name=name))

    def _refuse_foreign(self, seen: VolumeDetails) -> None:
        if seen.labels is None or seen.labels.node != self._node:
            raise VolumeDeleteFailed(
                Text("gpudock did not make the volume {name} here, so it does not delete it", name=seen.name)
            )

    def _way(self, seen: VolumeDetails) -> LoopVolumes | PlainVolumes:
        return self._ways()[seen.way or NONE]

    def _ways(self) -> dict[str, LoopVolumes | PlainVolumes]:
        docker, home = self._docker, self._home()
        return {
            QUOTA: QuotaVolumes(docker, home),
            LOOP: LoopVolumes(docker, home),
            NONE: PlainVolumes(docker, home),
        }

    def _home(self) -> Home:
        return Home(self._docker.root())

    def _places(self) -> Places:
        return Places(self._docker.root(), self._home())


def try_out(clients: Clients, node: str, setting: str) -> str:
    """The way in which a process with this setting makes volumes, found out by making one and removing it.

    Raises VolumeCreateFailed if that does not work, and Unavailable if Docker does not answer.
    """
    volumes = SizedVolumes(clients, node, setting)
    chosen = volumes.driver()
    if chosen == setting:
        volumes._try(chosen)
    return chosen
