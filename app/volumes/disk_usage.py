"""The room that is left on the disks, of this node and of the others."""

from collections.abc import Sequence
from dataclasses import replace

from app.cluster.reports import RemoteReports
from app.model.alerts import DiskSpace
from app.ports import VolumeReader


class DiskUsage:
    """Asks the filesystems on which containers, images and volumes are; `node` is this one's name."""

    def __init__(self, volumes: VolumeReader, reports: RemoteReports, node: str) -> None:
        self._volumes = volumes
        self._reports = reports
        self._node = node

    def here(self) -> Sequence[DiskSpace]:
        """Each of this node's once; raises Unavailable if Docker or a disk does not answer."""
        return [replace(disk, node=self._node) for disk in self._volumes.disks()]

    def elsewhere(self) -> Sequence[DiskSpace]:
        """Those of the other nodes that live, as they told last; raises Unavailable without etcd."""
        return self._reports.disks()
