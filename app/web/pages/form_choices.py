"""What forms offer to choose from: the volumes that are there."""

from collections.abc import Sequence

from app.pages import recorded
from app.pages.asked import Wanted
from app.pages.seen import Seen
from app.services.volumes.inquiry import VolumeVersionView

_ALL = 100_000


def volumes(seen: Seen) -> Sequence[VolumeVersionView]:
    """The newest version of each volume that can be mounted, by name."""
    seen.see_volumes(Wanted(), _ALL)
    found = seen.volumes.volumes if seen.volumes else ()
    return [view.newest for view in found if view.newest.state in ("present", recorded.UNKNOWN)]
