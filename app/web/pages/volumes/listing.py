"""The list of volumes, searched, filtered and sorted by what stands in its address."""

from collections.abc import Mapping

from flask import Blueprint
from werkzeug.wrappers import Response

from app.model.volume import WAYS
from app.volumes.queries import STATES, VolumeView
from app.web.pages import etcd_fallback, polling
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData
from app.web.pages.tables import Sorters, asked_for, table

# All of them are read, to be sorted here by any column.
_ALL = 100_000
_FILTERS = ("name", "way", "node", "mounted")
_SORTERS: Sorters[VolumeView] = {
    "name": lambda view: (view.family.family.lower(), view.family.family),
    "state": lambda view: view.newest.state,
    "size": lambda view: view.newest.record.bytes,
    "used": lambda view: view.newest.usage.used,
    "way": lambda view: WAYS.index(view.newest.record.driver) if view.newest.record.driver in WAYS else None,
    "versions": lambda view: view.count,
    "mounted": lambda view: len(view.newest.mounts),
    "created": lambda view: view.newest.record.created,
    "node": lambda view: view.newest.record.node,
}


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/volumes", view_func=volumes)


def volumes() -> Response:
    """The volumes that fit the filters of the address, sorted as it says."""
    seen = PageData()
    seen.see_volumes(ListFilter(), _ALL)
    page = seen.volumes
    seen.see_names()
    asked = asked_for(*_FILTERS, state=STATES)
    return polling.page(
        "volumes.html",
        seen=seen,
        asked=asked,
        filtered=any(asked.values()),
        states=STATES,
        ways=WAYS,
        nodes=sorted({view.family.node for view in page.volumes}) if page else [],
        table=table(page.volumes, lambda view: fits(view, asked), _SORTERS, "name") if page else None,
    )


def fits(view: VolumeView, asked: Mapping[str, str]) -> bool:
    """Whether a volume is what the filters ask for; one whose state is not known may be in any."""
    newest = view.newest
    return (
        asked["name"].lower() in newest.record.name.lower()
        and asked["state"] in ("", newest.state, *(STATES if newest.state == etcd_fallback.UNKNOWN else ()))
        and asked["way"] in ("", newest.record.driver)
        and asked["node"] in ("", newest.record.node)
        and asked["mounted"] in ("", "yes" if newest.mounts else "no")
    )
