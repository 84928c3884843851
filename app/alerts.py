"""Alerts: what needs an operator's attention, gathered from everything that the services find out anyway."""

from collections.abc import Iterable, Iterator, Sequence

from app.containers.queries import ContainerView, Page
from app.errors import Cancelled, UnreadableRecord
from app.gpus.queries import GpuView, used_by
from app.model.alerts import Alert, DiskSpace
from app.model.drift import Drift
from app.model.messages import Text
from app.model.operation import State
from app.model.sizes import human
from app.operations.queries import OperationView
from app.volumes.queries import VolumeView

# Seconds: an operation that began longer ago is history.
RECENT = 24 * 3600
# What is legal, but should be known.
_LIGHT = frozenset({"unenforced", "leftover", "renamed", "paused", "started", "older-running", "foreign-mount"})


def of_gpus(views: Iterable[GpuView]) -> Iterator[Alert]:
    """The GPUs that are unhealthy, or used by processes of others. One that an operator took out is none."""
    for view in views:
        if view.silence:
            yield Alert("nodes", view.node, "unreachable", view.silence, view.advice)
        elif view.fault:
            yield Alert("gpus", view.gpu.uuid, "unhealthy", view.reason or view.fault, view.advice)
        elif view.foreign:
            yield Alert("gpus", view.gpu.uuid, "foreign", used_by(view.foreign), view.advice, grave=False)


def of_containers(page: Page) -> Iterator[Alert]:
    """The containers that are not as gpudock left them, and those whose record was deleted."""
    for view in page.containers:
        yield from (_of_drift("containers", view.newest.name, view.family.node, drift) for drift in view.drift)
    for left in page.leftovers:
        node = left.container.labels.node if left.container.labels else ""
        yield _of_drift("containers", left.container.name, node, left.drift)


def of_volumes(views: Iterable[VolumeView]) -> Iterator[Alert]:
    """The volumes that are not as gpudock left them, and those that may fill the disk."""
    for view in views:
        yield from (_of_drift("volumes", view.newest.record.name, view.family.node, drift) for drift in view.drift)


def of_operations(views: Iterable[OperationView]) -> Iterator[Alert]:
    """The operations among these that are stuck, or failed and nothing went well with the same thing later."""
    well: set[tuple[str, str]] = set()
    for view in sorted(views, key=lambda view: view.operation.id, reverse=True):
        subject = (view.operation.resource, view.operation.family)
        if view.state == State.STUCK:
            yield _stuck(view)
        elif view.state == State.DONE:
            well.add(subject)
        elif _failed(view) and subject not in well:
            what, reason = view.operation, view.error or Text("it broke off")
            yield Alert("operations", what.name, "failed", reason, None, False, what.kind, what.request)
            well.add(subject)  # one is enough


def of_disks(disks: Iterable[DiskSpace]) -> Iterator[Alert]:
    """The disks that are nearly full."""
    for disk in disks:
        if disk.low:
            reason = Text("{free} of {total} are free", free=human(disk.free), total=human(disk.total))
            advice = Text("delete containers, versions or images that nobody needs, or add space")
            yield Alert("disk", disk.path, "low", reason, advice, node=disk.node)


def of_unreadable(problems: Iterable[UnreadableRecord]) -> Iterator[Alert]:
    """The records that cannot be read: nothing that they are about is touched."""
    for found in problems:
        advice = Text(
            "mend it in etcd, restore a backup, or delete it there; what it is about is left alone until then"
        )
        yield Alert("records", found.key, "unreadable", found.problem, advice)


def sorted_by_weight(alerts: Iterable[Alert]) -> list[Alert]:
    """The grave ones first, otherwise in their order; a node that is silent is one alert, whatever it has."""
    found: dict[object, Alert] = {}
    for alert in alerts:
        found.setdefault(alert.subject if alert.resource == "nodes" else alert, alert)
    return sorted(found.values(), key=lambda alert: not alert.grave)


def counts(views: Sequence[ContainerView]) -> dict[str, int]:
    """Count the containers in each state that any is in."""
    found: dict[str, int] = {}
    for view in views:
        found[view.state] = found.get(view.state, 0) + 1
    return found


def _of_drift(resource: str, name: str, node: str, drift: Drift) -> Alert:
    if drift.kind == "unreachable":
        return Alert("nodes", node, drift.kind, drift.reason, drift.advice)
    return Alert(resource, name, drift.kind, drift.reason, drift.advice, grave=drift.kind not in _LIGHT)


def _stuck(view: OperationView) -> Alert:
    what, reason = view.operation, view.error or Text("it broke off")
    advice = Text("nobody else can change {name} until it is finished, undone or forgotten", name=what.family)
    return Alert("operations", what.name, "stuck", reason, advice, True, what.kind, what.request, what.node, what.id)


def _failed(view: OperationView) -> bool:
    """Tell whether the operation was undone, but not because somebody wished so."""
    return view.state == "undone" and view.code != Cancelled.code
