"""The first page: every GPU, what runs, what is being done, and what needs attention."""

from werkzeug.wrappers import Response

from app import alerts
from app.model.alerts import Alert
from app.web.pages import polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_values import ListFilter
from app.web.pages.page_data import PageData

# No list is cut off here, and what is not listed here is counted.
_ALL = 1_000_000
_MOST_ALERTS = 30


@blueprint.route("/")
def index() -> Response:
    """Everything at a glance."""
    data = PageData()
    data.load_gpus()
    data.load_containers(ListFilter(), _ALL)
    data.load_volumes(ListFilter(), _ALL)
    data.load_recent_operations(alerts.RECENT)
    data.load_disks()
    data.load_unreadable()
    found = current_alerts(data)
    return polling.page(
        "index.html",
        data=data,
        alerts=found[:_MOST_ALERTS],
        more=len(found) - len(found[:_MOST_ALERTS]),
        gpu_views={view.gpu.uuid: view for view in data.gpus or ()},
        several_nodes=len({view.node for view in data.gpus or ()} | {disk.node for disk in data.disks or ()}) > 1,
        counts=alerts.counts(data.containers.containers) if data.containers else None,
        running=[view for view in data.recent_operations or () if view.state == "running"],
        known=_known(data),
    )


def _known(data: PageData) -> dict[str, set[str]]:
    """The names that have a page: families and their newest versions."""
    containers = data.containers.containers if data.containers else ()
    volumes = data.volumes.volumes if data.volumes else ()
    return {
        "containers": {name for view in containers for name in (view.family.family, view.newest.name)},
        "volumes": {name for view in volumes for name in (view.family.family, view.newest.record.name)},
    }


def current_alerts(data: PageData) -> list[Alert]:
    """Collect what needs attention, as far as it is known, the grave things first."""
    found: list[Alert] = []
    if data.gpus is not None:
        found += alerts.of_gpus(data.gpus)
    if data.disks is not None:
        found += alerts.of_disks(data.disks)
    if data.containers is not None:
        found += alerts.of_containers(data.containers)
    if data.volumes is not None:
        found += alerts.of_volumes(data.volumes.volumes)
    if data.recent_operations is not None:
        found += alerts.of_operations(data.recent_operations)
    if data.unreadable is not None:
        found += alerts.of_unreadable(data.unreadable)
    return alerts.sorted_by_weight(found)
