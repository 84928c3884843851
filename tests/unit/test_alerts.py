"""What needs attention, as the services find it out."""

import time
from dataclasses import replace

import pytest

from app import alerts
from app.errors import Cancelled, GpuChangeFailed, StartFailed
from app.gpus.queries import GpuView
from app.model.alerts import Alert, DiskSpace
from app.model.gpu import GpuProcess
from app.model.names import parse
from app.model.operation import id_at
from app.model.volume import NONE
from app.operations.requester import API, ITSELF, Requester, set_requester
from app.ports import Put
from app.state.keys import cancellation_key
from tests.support.world import World, spec

GIB = 1 << 30


def operations(world: World, ago: float = alerts.RECENT) -> list[Alert]:
    return list(alerts.of_operations(world.services.operations.queries.since(id_at(time.time() - ago))))


def kinds(found: list[Alert]) -> list[tuple[str, str, bool]]:
    return [(alert.subject, alert.kind, alert.grave) for alert in found]


def test_where_all_is_well_nothing_is_said(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    world.services.volumes.create("vol", "10MB")
    assert not list(alerts.of_gpus(world.services.gpus.all()))
    assert not list(alerts.of_containers(world.services.containers.queries.page()))
    assert not list(alerts.of_volumes(world.services.volumes.queries.page().volumes))
    assert not list(alerts.of_disks(world.services.volumes.disk_usage.here())) and not operations(world)


def test_sick_gpus_and_those_that_others_use_but_not_drained_ones(world: World) -> None:
    uuids = list(world.inventory.uuids())
    world.inventory.changes = {
        1: {"fault": "fell off the bus"},
        2: {"processes": (GpuProcess(4242, None, None),)},
    }
    world.services.gpus.schedule(uuids[3], False)
    sick, used = alerts.of_gpus(world.services.gpus.all())
    assert kinds([sick, used]) == [(uuids[1], "unhealthy", True), (uuids[2], "foreign", False)]
    assert sick.reason == "fell off the bus" and sick.advice and "4242" in used.reason


def test_a_silent_node_is_one_concern_whatever_it_has(world: World) -> None:
    views = [replace(view, node="far", silence="node far is unreachable") for view in world.services.gpus.all()]
    assert isinstance(views[0], GpuView)
    (alert,) = alerts.sorted_by_weight(alerts.of_gpus(views))
    assert (alert.resource, alert.subject, alert.reason) == ("nodes", "far", "node far is unreachable")


def test_drift_of_containers_and_volumes_and_what_is_left_over(world: World) -> None:
    world.volumes.chosen = NONE
    for name in ("foo", "bar"):
        world.services.containers.create(name, spec())
    world.services.volumes.create("vol", "10MB")
    del world.engine.containers[next(key for key, one in world.engine.containers.items() if one.name == "foo-0")]
    found = [
        *alerts.of_volumes(world.services.volumes.queries.page().volumes),
        *alerts.of_containers(world.services.containers.queries.page()),
    ]
    weighed = alerts.sorted_by_weight(found)
    assert kinds(weighed) == [("foo-0", "missing", True), ("vol-0", "unenforced", False)]
    assert all(alert.advice for alert in weighed)


def test_a_failed_operation_of_late_that_was_not_made_good(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.engine.fail_next["start"] = StartFailed("no space")
    with pytest.raises(GpuChangeFailed):
        world.services.containers.change_gpus(parse("foo"), 1)
    (alert,) = operations(world)
    assert (alert.subject, alert.kind, alert.reason) == ("foo-1", "failed", "no space")
    assert (alert.operation, alert.request) == ("gpu", None)
    assert not operations(world, ago=-60)
    world.services.containers.change_gpus(parse("foo"), 1)
    assert not operations(world)
    world.engine.fail_next["start"] = StartFailed("no space")
    set_requester(Requester(API, "ann", "mine"))
    try:
        with pytest.raises(GpuChangeFailed):
            world.services.containers.change_gpus(parse("foo"), 2)
    finally:
        set_requester(ITSELF)
    (alert,) = operations(world)
    assert (alert.subject, alert.request) == ("foo-2", "mine")


def test_what_was_cancelled_did_not_fail(world: World) -> None:
    start = world.engine.start

    def cancelled(ref: str) -> None:
        (view,) = world.services.operations.queries.all(state="running").operations
        world.store.transact({}, [Put(cancellation_key(view.operation.id), {"schema": 1})])
        start(ref)

    world.engine.start = cancelled  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        world.services.containers.create("foo", spec())
    assert [view.state for view in world.services.operations.queries.all().operations] == ["undone"] and not operations(
        world
    )


def test_a_disk_is_low_below_a_tenth_or_a_gibibyte() -> None:
    rooms = [
        DiskSpace("/a", 9 * GIB, 100 * GIB),
        DiskSpace("/b", 11 * GIB, 100 * GIB),
        DiskSpace("/c", GIB - 1, 2 * GIB),
    ]
    low = list(alerts.of_disks(rooms))
    assert kinds(low) == [("/a", "low", True), ("/c", "low", True)]
    assert low[0].reason == "9 GB of 100 GB are free"
    here, there = alerts.sorted_by_weight(
        alerts.of_disks([DiskSpace("/a", 1, GIB, "one"), DiskSpace("/a", 1, GIB, "two")])
    )
    assert [(alert.subject, alert.node) for alert in (here, there)] == [("/a", "one"), ("/a", "two")]


def test_containers_are_counted_by_state(world: World) -> None:
    for name in ("a", "b", "c"):
        world.services.containers.create(name, spec())
    world.services.containers.stop(parse("b"))
    assert alerts.counts(world.services.containers.queries.page().containers) == {"running": 2, "stopped": 1}
