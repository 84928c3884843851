"""How much room is left on the disks, of this node and of the others."""

from collections.abc import Sequence
from dataclasses import replace

from app.cluster.reports import Reported
from app.model.alerts import Room
from app.ports import Volumes


class Space:
    """Asks the filesystems on which containers, images and volumes are; `node` is this one's name."""

    def __init__(self, volumes: Volumes, reported: Reported, node: str) -> None:
        self._volumes = volumes
        self._reported = reported
        self._node = node

    def here(self) -> Sequence[Room]:
        """Each of this node's once; raises Unavailable if Docker or a disk does not answer."""
        return [replace(room, node=self._node) for room in self._volumes.rooms()]

    def elsewhere(self) -> Sequence[Room]:
        """Those of the other nodes that live, as they told last; raises Unavailable without etcd."""
        return self._reported.rooms()
