"""The choices that forms offer: the volumes that are there."""

from collections.abc import Sequence

from app.volumes.queries import VolumeVersionView
from app.web.pages import etcd_fallback
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData

_ALL = 100_000


def volumes(seen: PageData) -> Sequence[VolumeVersionView]:
    """The newest version of each volume that can be mounted, by name."""
    seen.see_volumes(ListFilter(), _ALL)
    found = seen.volumes.volumes if seen.volumes else ()
    return [view.newest for view in found if view.newest.state in ("present", etcd_fallback.UNKNOWN)]
