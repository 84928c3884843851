"""The driver `quota`: Docker enforces the size through the project quotas of XFS.

The limit is there from the volume's first mount on, and it is never believed: a name that was in use, or a
filesystem mounted otherwise, can silently lack one.
"""

import os
from pathlib import Path

from app.adapters.volumes.errors import as_failure
from app.adapters.volumes.plain import PlainDriver
from app.adapters.volumes.project_quota import clear_projects, limit_directory, project_id, project_usage
from app.errors import VolumeCreateFailed, VolumeDeleteFailed
from app.model.messages import Text
from app.model.volume import QUOTA, Usage, VolumePlan
from app.ports import VolumeDetails

_NEEDS = Text("GPUDOCK_VOLUMES=quota needs XFS mounted with pquota under Docker's root on this host; use auto or loop")
# What a directory without anything in it may have.
_LITTLE = 64 << 10


class QuotaDriver(PlainDriver):
    """Implements `ports.VolumeDriver` by Docker's limits; the data are in Docker's own directories too."""

    name: str = QUOTA
    enforced_by: str | None = "XFS project quotas (quota)"

    def create(self, plan: VolumePlan) -> None:
        """Create it, let Docker mount it, and look whether the limit is there and nothing counts against it yet."""
        try:
            details = self._docker.create(plan, self.name, {"size": plan.size.text})
        except VolumeCreateFailed as exc:
            message = Text("Docker did not make {name}; {needs}", name=plan.name, needs=_NEEDS)
            raise VolumeCreateFailed(message) from exc
        self._mount(details)
        self._set_forgotten_limit(details)
        self._check(details)
        usage = self.usage(details)
        if usage is not None and (usage.used or 0) > _LITTLE:
            raise VolumeCreateFailed(
                Text(
                    "the quota of {name} is shared with other files, {size} bytes of them",
                    name=plan.name,
                    size=usage.used,
                )
            )

    def complete(self, details: VolumeDetails) -> None:
        """Let Docker mount it, and look whether the limit is there."""
        self._mount(details)
        self._check(details)

    def usage(self, details: VolumeDetails) -> Usage | None:
        """Report what the filesystem says of the directory: its quota."""
        self.ensure_mounted(details)
        status = os.statvfs(details.mountpoint)
        project = project_usage(device(self._docker.root()), project_id(details.mountpoint))
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        if project and status.f_blocks * status.f_frsize < (details.size or 0) - status.f_frsize:
            used = project.used  # of a filesystem smaller than the limit the report is of all that is on it
        return Usage(used + status.f_bavail * status.f_frsize, used, project.inodes - 1 if project else None)

    def report(self, place: Path) -> Usage | None:
        number = project_id(place)
        project = project_usage(device(self._docker.root()), number) if number else None
        return Usage(used=project.used, files=project.inodes - 1) if project else None

    def _release(self, directory: Path) -> str:
        """Take the project id away: after its next start Docker may give it to another volume."""
        with as_failure(VolumeDeleteFailed, Text("the quota of {place} could not be taken off", place=str(directory))):
            if project_id(directory / "data"):
                clear_projects(directory / "data")
        return super()._release(directory)

    def _mount(self, details: VolumeDetails) -> None:
        self._docker.mount_once(details.name, details.operation or "")

    def _set_forgotten_limit(self, details: VolumeDetails) -> None:
        """Docker limits a path once: one that comes again before its next start gets no project id any more."""
        with as_failure(VolumeCreateFailed, _no_limit(details)):
            if not project_id(details.mountpoint):
                limit_directory(device(self._docker.root()), details.mountpoint, details.size or 0)

    def _check(self, details: VolumeDetails) -> None:
        with as_failure(VolumeCreateFailed, Text("the quota of {name} could not be examined", name=details.name)):
            status, whole = os.statvfs(details.mountpoint), os.statvfs(self._docker.root())
            limit = min(details.size or 0, whole.f_blocks * whole.f_frsize)
            block = status.f_frsize
            if not project_id(details.mountpoint) or abs(status.f_blocks * block - limit) > block:
                raise VolumeCreateFailed(_no_limit(details))


def _no_limit(details: VolumeDetails) -> Text:
    return Text("Docker set no limit for {name}; {needs}", name=details.name, needs=_NEEDS)


def device(root: Path) -> Path:
    """Name the block device of Docker's root, as Docker itself made a node of it to set quotas."""
    return root / "volumes/backingFsBlockDev"
