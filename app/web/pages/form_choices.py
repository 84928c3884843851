"""The choices that forms offer: the volumes that are there."""

from collections.abc import Sequence

from app.volumes.queries import VolumeVersionView
from app.web.pages import etcd_fallback
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData

_ALL = 100_000


def volumes(data: PageData) -> Sequence[VolumeVersionView]:
    """The newest version of each volume that can be mounted, by name."""
    data.load_volumes(ListFilter(), _ALL)
    found = data.volumes.volumes if data.volumes else ()
    return [view.newest for view in found if view.newest.state in ("present", etcd_fallback.UNKNOWN)]
