"""Docker volumes with an enforced size, by the driver that the host can do."""

import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress

from app.adapters.docker.client import Clients
from app.adapters.filesystem import disk_space
from app.adapters.treecopy.transfer import TreeTransfer
from app.adapters.volumes.directories import Home, locked
from app.adapters.volumes.docker import VolumeDocker, taken
from app.adapters.volumes.drivers import Drivers
from app.adapters.volumes.errors import as_failure, on_disk
from app.adapters.volumes.places import Places, persist
from app.errors import DomainError, VolumeCreateFailed, VolumeDeleteFailed, VolumeDriverUnknown, VolumeNotFound
from app.model.alerts import DiskSpace
from app.model.container import Labels
from app.model.messages import Text
from app.model.sizes import parse_size
from app.model.volume import AUTO, NONE, Usage, VolumePlan
from app.ports import Progress, VolumeDetails, VolumeDriver

_TRIAL = "trial"


class SizedVolumes:
    """Implements `ports.Volumes` for the engine that `clients` speak to; it need not be up yet.

    `setting` is auto or one of model.volume.DRIVERS and decides how new volumes are made; one that exists is always
    handled by the driver that its label names.
    """

    def __init__(self, clients: Clients, node: str, setting: str) -> None:
        self._docker = VolumeDocker(clients, node)
        self._drivers = Drivers(self._docker)
        self._places = Places(self._drivers)
        self._node, self._setting = node, setting
        self._trying = threading.Lock()
        self._found: str | None = None

    def driver(self) -> str:
        """Name the setting, or with auto the first driver that works; nothing is concluded while Docker is down.

        That none works is found out anew each time: it may have been a passing trouble.
        """
        if self._setting != AUTO:
            return self._setting
        with self._trying:
            found = self._found or self._first_that_works()
            self._found = None if found == NONE else found
            return found

    def create(self, plan: VolumePlan) -> str:
        return self._create(plan, self._drivers.named(self.driver(), plan.name))

    def usage(self, name: str) -> Usage | None:
        details = self._docker.inspect(name)
        return self._usage(details) if details else None

    def usages(self) -> dict[str, Usage]:
        found = {details.name: self._usage_if_known(details) for details in self._docker.list()}
        return {name: usage for name, usage in found.items() if usage is not None}

    def free_bytes(self) -> int:
        root = self._docker.root()
        with on_disk(Text("the room under {place} is unknown", place=str(root))):
            return disk_space(root).free

    def disks(self) -> list[DiskSpace]:
        root = self._docker.root()
        with on_disk(Text("the room under {place} is unknown", place=str(root))):
            places = {path.stat().st_dev: path for path in (Home(root).path, root) if path.exists()}
            return [disk_space(path) for path in places.values()]

    def ensure_mounted(self, names: Sequence[str]) -> None:
        for name in names:
            details = self._get(name)
            if details.labels:
                self._drivers.of(details).ensure_mounted(details)

    def data_path(self, name: str) -> str:
        details = self._get(name)
        return self._drivers.of(details).data_path(details) if details.labels else str(details.mountpoint)

    def begin(self, source: str, target: str, progress: Progress) -> TreeTransfer:
        return self._places.begin(source, target, progress)

    def sync(self, place: str) -> None:
        self._places.sync(place)

    def measure(self, place: str) -> tuple[int, int]:
        return self._places.measure(place)

    def last_change(self, place: str) -> int:
        return self._places.last_change(place)

    def names(self, family: str) -> list[str]:
        return sorted(details.name for details in self._docker.list(family=family))

    def made(self) -> dict[str, str]:
        return {details.name: details.labels.operation for details in self._docker.list() if details.labels}

    def set_aside(self, name: str, driver: str) -> str:
        details = self._docker.inspect(name)
        if details is None:
            return self._finish_set_aside(name, driver)
        self._refuse_foreign(details)
        self._docker.refuse_used(name, stopped=True)
        return self._drivers.of(details).set_aside(details)

    def discard(self, name: str) -> None:
        details = self._docker.inspect(name)
        if details is None:
            for driver in self._drivers.all():
                driver.finish_discard(name)
            return
        self._refuse_foreign(details)
        self._docker.refuse_used(name, stopped=False)
        self._drivers.of(details).discard(details)

    def discard_aside(self, place: str) -> None:
        self._places.discard(place)

    def undo(self, operation: str) -> None:
        self._docker.sweep(operation)
        for details in self._docker.list(operation=operation):
            self._drivers.of(details).discard(details)
        for driver in self._drivers.all():
            driver.undo(operation)

    def try_out(self) -> VolumeDriver:
        """Find the driver that makes new volumes, by making one with it and removing it.

        Raises VolumeCreateFailed if that does not work, and Unavailable if Docker does not answer.
        """
        chosen = self._drivers.named(self.driver(), _TRIAL)
        if self._setting == chosen.name:
            self._try(chosen)
        return chosen

    def _usage_if_known(self, details: VolumeDetails) -> Usage | None:
        try:
            return self._usage(details)
        except VolumeDriverUnknown:  # there it is, and the others are to be told nevertheless
            return Usage()

    def _usage(self, details: VolumeDetails) -> Usage | None:
        silent = Text("the filesystem of {name} does not tell how full it is", name=details.name)
        with on_disk(silent), suppress(VolumeNotFound):
            return self._drivers.of(details).usage(details) if details.labels else Usage()
        return None

    def _create(self, plan: VolumePlan, driver: VolumeDriver) -> str:
        if details := self._docker.inspect(plan.name):
            if details.operation != plan.labels.operation:
                raise taken(plan.name)
            driver = self._drivers.of(details)
            driver.complete(details)
            return driver.name
        try:
            driver.create(plan)
            self._persist(plan.name)
        except DomainError:
            with suppress(DomainError):  # as far as possible: whoever called `create` undoes it too
                self.undo(plan.labels.operation)
            raise
        return driver.name

    def _persist(self, name: str) -> None:
        details = self._get(name)
        unwritten = Text("what Docker noted of {name} could not be written to disk", name=name)
        with as_failure(VolumeCreateFailed, unwritten):
            persist(details.mountpoint)

    def _first_that_works(self) -> str:
        for driver in self._drivers.all():
            if driver.enforced_by is not None:
                with suppress(VolumeCreateFailed):
                    self._try(driver)
                    return driver.name
        return NONE

    def _try(self, driver: VolumeDriver) -> None:
        """Make a small volume with the driver and remove it; VolumeCreateFailed if it does not work."""
        home = Home(self._docker.root())
        with as_failure(VolumeCreateFailed, Text("{place} cannot be used", place=str(home.path))):
            home.make()
            # One at a time, so that whatever a trial finds of others was left behind by a dead one.
            with locked(home.path):
                self.undo(_TRIAL)
                labels = Labels(self._node, f"gpudock.trial.{secrets.token_hex(4)}", 0, _TRIAL)
                self._create(VolumePlan(labels, parse_size("1MB")), driver)
                self.undo(_TRIAL)

    def _finish_set_aside(self, name: str, driver: str) -> str:
        place = self._drivers.named(driver, name).finish_set_aside(name)
        if place is None:
            raise VolumeNotFound(Text("there is no volume {name}", name=name))
        return place

    def _get(self, name: str) -> VolumeDetails:
        if details := self._docker.inspect(name):
            return details
        raise VolumeNotFound(Text("there is no volume {name}", name=name))

    def _refuse_foreign(self, details: VolumeDetails) -> None:
        if details.labels is None or details.labels.node != self._node:
            raise VolumeDeleteFailed(
                Text("gpudock did not make the volume {name} here, so it does not delete it", name=details.name)
            )
