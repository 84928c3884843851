"""The list of volumes, searched, filtered and sorted by what stands in its address."""

from collections.abc import Mapping

from werkzeug.wrappers import Response

from app.model.volume import DRIVERS
from app.volumes.queries import STATES, VolumeView
from app.web.pages import etcd_fallback, polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData
from app.web.pages.tables import Sorters, query_filters, table

# All of them are read, to be sorted here by any column.
_ALL = 100_000
_FILTERS = ("name", "way", "node", "mounted")
_SORTERS: Sorters[VolumeView] = {
    "name": lambda view: (view.family.family.lower(), view.family.family),
    "state": lambda view: view.newest.state,
    "size": lambda view: view.newest.record.bytes,
    "used": lambda view: view.newest.usage.used,
    "way": lambda view: DRIVERS.index(view.newest.record.driver) if view.newest.record.driver in DRIVERS else None,
    "versions": lambda view: view.count,
    "mounted": lambda view: len(view.newest.mounts),
    "created": lambda view: view.newest.record.created,
    "node": lambda view: view.newest.record.node,
}


@blueprint.route("/volumes")
def volumes() -> Response:
    """The volumes that fit the filters of the address, sorted as it says."""
    data = PageData()
    data.load_volumes(ListFilter(), _ALL)
    page = data.volumes
    data.load_names()
    filters = query_filters(*_FILTERS, state=STATES)
    return polling.page(
        "volumes.html",
        data=data,
        filters=filters,
        filtered=any(filters.values()),
        states=STATES,
        ways=DRIVERS,
        nodes=sorted({view.family.node for view in page.volumes}) if page else [],
        table=table(page.volumes, lambda view: fits(view, filters), _SORTERS, "name") if page else None,
    )


def fits(view: VolumeView, filters: Mapping[str, str]) -> bool:
    """Tell whether a volume fits the filters; one whose state is not known may be in any."""
    newest = view.newest
    return (
        filters["name"].lower() in newest.record.name.lower()
        and filters["state"] in ("", newest.state, *(STATES if newest.state == etcd_fallback.UNKNOWN else ()))
        and filters["way"] in ("", newest.record.driver)
        and filters["node"] in ("", newest.record.node)
        and filters["mounted"] in ("", "yes" if newest.mounts else "no")
    )
