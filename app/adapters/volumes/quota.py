"""The way `quota`: Docker enforces the size through the project quotas of XFS.

The limit is there from the volume's first mount on, and it is never believed: a name that was in use, or a
filesystem mounted otherwise, can silently lack one.
"""

import os
from pathlib import Path

from app.adapters.volumes.docker import VolumeDetails
from app.adapters.volumes.errors import as_failure
from app.adapters.volumes.plain import PlainVolumes
from app.adapters.volumes.project_quota import clear_projects, limit_directory, project_id, project_usage
from app.errors import VolumeCreateFailed, VolumeDeleteFailed
from app.model.messages import Text
from app.model.volume import QUOTA, Usage, VolumePlan

_NEEDS = Text("GPUDOCK_VOLUMES=quota needs XFS mounted with pquota under Docker's root on this host; use auto or loop")
# What a directory without anything in it may have.
_LITTLE = 64 << 10


class QuotaVolumes(PlainVolumes):
    """Makes and removes volumes that Docker limits; their data are in Docker's own directories too."""

    def create(self, plan: VolumePlan) -> None:
        """Create it, let Docker mount it, and look whether the limit is there and nothing counts against it yet."""
        try:
            seen = self._docker.create(plan, QUOTA, {"size": plan.size.text})
        except VolumeCreateFailed as exc:
            message = Text("Docker did not make {name}; {needs}", name=plan.name, needs=_NEEDS)
            raise VolumeCreateFailed(message) from exc
        self._mount(seen)
        self._set_forgotten_limit(seen)
        self._check(seen)
        usage = self.usage(seen)
        if usage is not None and (usage.used or 0) > _LITTLE:
            raise VolumeCreateFailed(
                Text(
                    "the quota of {name} is shared with other files, {size} bytes of them",
                    name=plan.name,
                    size=usage.used,
                )
            )

    def adopt(self, seen: VolumeDetails) -> None:
        """Let Docker mount it, and look whether the limit is there."""
        self._mount(seen)
        self._check(seen)

    def usage(self, seen: VolumeDetails) -> Usage | None:
        """What the filesystem reports of the directory: its quota."""
        self.ready(seen)
        status = os.statvfs(seen.mountpoint)
        project = project_usage(device(self._docker.root()), project_id(seen.mountpoint))
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        if project and status.f_blocks * status.f_frsize < (seen.size or 0) - status.f_frsize:
            used = project.used  # of a filesystem smaller than the limit the report is of all that is on it
        return Usage(used + status.f_bavail * status.f_frsize, used, project.inodes - 1 if project else None)

    def put_aside(self, directory: Path) -> str:
        """Take the project id away: after its next start Docker may give it to another volume."""
        with as_failure(VolumeDeleteFailed, Text("the quota of {place} could not be taken off", place=str(directory))):
            if project_id(directory / "data"):
                clear_projects(directory / "data")
        return super().put_aside(directory)

    def _mount(self, seen: VolumeDetails) -> None:
        self._docker.mount_once(seen.name, seen.operation or "")

    def _set_forgotten_limit(self, seen: VolumeDetails) -> None:
        """Docker limits a path once: one that comes again before its next start gets no project id any more."""
        with as_failure(VolumeCreateFailed, _no_limit(seen)):
            if not project_id(seen.mountpoint):
                limit_directory(device(self._docker.root()), seen.mountpoint, seen.size or 0)

    def _check(self, seen: VolumeDetails) -> None:
        with as_failure(VolumeCreateFailed, Text("the quota of {name} could not be examined", name=seen.name)):
            status, whole = os.statvfs(seen.mountpoint), os.statvfs(self._docker.root())
            limit = min(seen.size or 0, whole.f_blocks * whole.f_frsize)
            block = status.f_frsize
            if not project_id(seen.mountpoint) or abs(status.f_blocks * block - limit) > block:
                raise VolumeCreateFailed(_no_limit(seen))


def _no_limit(seen: VolumeDetails) -> Text:
    return Text("Docker set no limit for {name}; {needs}", name=seen.name, needs=_NEEDS)


def device(root: Path) -> Path:
    """The block device of Docker's root, as Docker itself made a node of it to set quotas."""
    return root / "volumes/backingFsBlockDev"
