"""The first page: every GPU, what runs, what is being done, and what needs attention."""

from flask import Blueprint
from werkzeug.wrappers import Response

from app import alerts
from app.model.alerts import Alert
from app.web.pages import polling
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData

# No list is cut off here, and what is not listed here is counted.
_ALL = 1_000_000
_CONCERNS = 30


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/", view_func=index)


def index() -> Response:
    """Everything at a glance."""
    seen = PageData()
    seen.see_gpus()
    seen.see_containers(ListFilter(), _ALL)
    seen.see_volumes(ListFilter(), _ALL)
    seen.see_lately(alerts.RECENT)
    seen.see_rooms()
    seen.see_unreadable()
    found = concerns(seen)
    return polling.page(
        "index.html",
        seen=seen,
        concerns=found[:_CONCERNS],
        more=len(found) - len(found[:_CONCERNS]),
        gpu_views={view.gpu.uuid: view for view in seen.gpus or ()},
        several_nodes=len({view.node for view in seen.gpus or ()} | {room.node for room in seen.rooms or ()}) > 1,
        counts=alerts.counts(seen.containers.containers) if seen.containers else None,
        running=[view for view in seen.lately or () if view.state == "running"],
        known=_known(seen),
    )


def _known(seen: PageData) -> dict[str, set[str]]:
    """The names that have a page: families and their newest versions."""
    containers = seen.containers.containers if seen.containers else ()
    volumes = seen.volumes.volumes if seen.volumes else ()
    return {
        "containers": {name for view in containers for name in (view.family.family, view.newest.name)},
        "volumes": {name for view in volumes for name in (view.family.family, view.newest.record.name)},
    }


def concerns(seen: PageData) -> list[Alert]:
    """What needs attention, as far as it is known, the grave things first."""
    found: list[Alert] = []
    if seen.gpus is not None:
        found += alerts.of_gpus(seen.gpus)
    if seen.rooms is not None:
        found += alerts.of_rooms(seen.rooms)
    if seen.containers is not None:
        found += alerts.of_containers(seen.containers)
    if seen.volumes is not None:
        found += alerts.of_volumes(seen.volumes.volumes)
    if seen.lately is not None:
        found += alerts.of_operations(seen.lately)
    if seen.unreadable is not None:
        found += alerts.of_unreadable(seen.unreadable)
    return alerts.sorted_by_weight(found)
