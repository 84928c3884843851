"""Deletes what GPUDOCK_KEEP_VERSIONS does not keep, after a change has succeeded. A failure is logged, no more."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.containers.delete import Deleter
from app.errors import DomainError
from app.model.names import Name
from app.state.containers import Records
from app.state.volumes import VolumeRecords
from app.volumes.delete import VolumeDeleter

log = structlog.get_logger()


@dataclass(frozen=True)
class Pruner:
    """Keeps the newest `keep` versions of a family (None: all), and every older one that runs or is in use."""

    containers_of: Records
    volumes_of: VolumeRecords
    container_deleter: Deleter
    volume_deleter: VolumeDeleter
    keep: int | None

    def containers(self, family: str) -> None:
        """Delete the older versions of a container that do not run."""
        if self.keep is not None:
            versions = [record.version for record in self.containers_of.versions(family)]
            self._delete(family, versions, lambda name: self.container_deleter.delete(name, force=False, erase=True))

    def volumes(self, family: str) -> None:
        """Delete the older versions of a volume that no container uses."""
        if self.keep is not None:
            versions = [record.version for record in self.volumes_of.versions(family)]
            self._delete(family, versions, lambda name: self.volume_deleter.delete(name, force=False, erase=True))

    def _delete(self, family: str, versions: list[int], delete: Callable[[Name], None]) -> None:
        for version in versions[: -self.keep] if self.keep else ():
            try:
                delete(Name(family, version))
            except DomainError as exc:
                log.info("an older version is kept", name=str(Name(family, version)), reason=exc.message)
