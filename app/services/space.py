"""How much room is left on this node's disks."""

from collections.abc import Sequence

from app.domain.concerns import Room
from app.ports import Volumes


class Space:
    """Asks the filesystems on which containers, images and volumes are."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def rooms(self) -> Sequence[Room]:
        """Each of them once; raises Unavailable if Docker or a disk does not answer."""
        return self._volumes.rooms()
