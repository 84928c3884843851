"""The list of containers, searched, filtered and sorted by what stands in its address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from werkzeug.wrappers import Response

from app.containers.queries import STATES, ContainerView, Page
from app.model.container_drift import Leftover
from app.web.pages import etcd_fallback, polling, tables
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.actions import listed
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData
from app.web.pages.tables import Sorters, Table, query_filters
from app.web.request_scope import services

_FILTERS = ("name", "gpu", "image", "node")
# All of them are read, to be sorted here by any column.
_ALL = 100_000
_WITH, _WITHOUT = "with", "without"


@dataclass(frozen=True)
class Choices:
    """The values that the filters offer: those that there are."""

    images: Sequence[str]
    nodes: Sequence[str]
    states: Sequence[str] = STATES


@blueprint.route("/containers")
def containers() -> Response:
    """The containers that fit the filters of the address, sorted as it says."""
    data = PageData()
    data.load_gpus()
    data.load_containers(ListFilter(), _ALL)
    found, filters = data.containers, query_filters(*_FILTERS, state=STATES)
    table = arranged(found) if found else None
    return polling.page(
        "containers.html",
        data=data,
        listed=listed,
        leftovers=leftovers(found),
        choices=choices(found),
        filters=filters,
        filtered=any(filters.values()),
        table=table,
        sizes=sizes(table.rows) if table else {},
    )


def arranged(page: Page) -> Table[ContainerView]:
    """The part of the list that the request asks for."""
    filters = query_filters(*_FILTERS, state=STATES)
    return tables.table(page.containers, lambda view: fits(view, filters), sorters(page), "name")


def fits(view: ContainerView, filters: Mapping[str, str]) -> bool:
    """Tell whether a container fits the filters; one whose state is not known may be in any."""
    return (
        filters["name"].lower() in view.newest.name.lower()
        and filters["state"] in ("", view.state, *(STATES if view.state == etcd_fallback.UNKNOWN else ()))
        and filters["image"] in ("", view.newest.spec.image)
        and filters["node"] in ("", view.newest.node)
        and _holds(view, filters["gpu"])
    )


def sorters(page: Page) -> Sorters[ContainerView]:
    """Return the sort key of each column."""
    known = sizes(page.containers) if query_filters("sort")["sort"].endswith("size") else {}
    return {
        "name": lambda view: (view.family.family.lower(), view.family.family),
        "state": lambda view: view.state,
        "image": lambda view: view.newest.spec.image,
        "gpus": lambda view: len(view.gpus),
        "ports": lambda view: min((port.host for port in view.newest.spec.ports if port.host), default=None),
        "version": lambda view: view.newest.version,
        "created": lambda view: view.newest.created,
        "node": lambda view: view.newest.node,
        "size": lambda view: known.get(view.newest.name),
    }


def sizes(views: Sequence[ContainerView]) -> dict[str, int]:
    """The bytes of the newest versions' layers, as far as they have been measured yet."""
    return services().containers.layer_sizes.of(
        [view.newest for view in views if view.state not in ("missing", etcd_fallback.UNKNOWN)]
    )


def leftovers(page: Page | None) -> Sequence[Leftover]:
    """Return containers of erased families: they fit a name, but no other filter, and come with the first page."""
    filters = query_filters(*_FILTERS, state=STATES)
    name = filters.pop("name")
    if page is None or any(filters.values()) or query_filters("page")["page"]:
        return ()
    return [found for found in page.leftovers if name in found.container.name]


def choices(page: Page | None) -> Choices:
    """Return the values that the filters offer."""
    newest = [view.newest for view in page.containers] if page else []
    return Choices(sorted({record.spec.image for record in newest}), sorted({record.node for record in newest}))


def _holds(view: ContainerView, gpu: str) -> bool:
    if gpu in (_WITH, _WITHOUT):
        return bool(view.gpus) == (gpu == _WITH)
    return not gpu or gpu in view.gpus
