"""A record that cannot be read counts for itself alone: lists, passes and pages go on, and it is told."""

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from app import errors
from app.cli import records as doctor
from app.errors import UnreadableRecord
from app.model.container import Bind, PortMapping
from app.model.names import Name
from app.state.backup import Backups
from app.state.unreadable import UnreadableRecords
from tests.support.damage import DAMAGES, Damage
from tests.support.furnished import fail_once, furnish
from tests.support.world import World, make_world, spec

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))
LISTS: dict[str, Callable[[World], object]] = {
    "containers": lambda world: world.services.containers.queries.page(),
    "volumes": lambda world: world.services.volumes.queries.page(),
    "operations": lambda world: world.services.operations.queries.all(),
    "lately": lambda world: world.services.operations.queries.since(""),
    "gpus": lambda world: world.services.gpus.all(),
    "gpu status": lambda world: world.services.gpus.status(),
    "holders": lambda world: [world.services.gpu.history.of(gpu.uuid) for gpu in world.inventory.gpus()],
    "images": lambda world: world.services.images.all(),
    "nodes": lambda world: world.services.summary.all(),
    "doctor": lambda world: doctor.examine(world.store),
    "reports": lambda world: world.services.agent.presence.report(),
    "pass": lambda world: world.services.agent.reconciler.once(),
}


def furnished() -> World:
    world = make_world()
    furnish(world.services, world.store)
    fail_once(world.services, world.images)
    assert world.services.agent.reconciler.once() == []
    world.services.agent.presence.report()
    return world


def test_all_is_well_before() -> None:
    world = furnished()
    assert UnreadableRecords(world.store).all() == () and world.services.agent.reconciler.once() == []


@given(DAMAGES)
@settings(SLOW, max_examples=60)
def test_no_damage_to_one_record_breaks_anything(damage: Damage) -> None:
    world = furnished()
    keys = [entry.key for entry in world.store.list("/") if entry.key != "/meta/schema"]
    before = world.containers()
    key = damage.do(world.store, keys)
    stored = world.store.get(key)
    assert stored is not None
    unreadable = [found.key for found in UnreadableRecords(world.store).all()]
    for ask in LISTS.values():
        ask(world)
    if key in unreadable:
        after = world.store.get(key)
        kept = key.startswith(
            ("/containers/", "/volumes/", "/operations/", "/gpus/", "/ports/", "/health/", "/history/")
        )
        assert world.containers() == before and (not kept or after == stored)


@pytest.fixture
def two(world: World) -> World:
    """Two containers with GPUs and ports, and a volume with two versions."""
    for name in ("foo", "bar"):
        world.services.containers.create(name, spec(gpu_count=2, ports=(PortMapping(0, 22),)))
    world.services.volumes.create("vol", "1MB")
    world.services.volumes.resize(Name("vol"), "2MB")
    return world


DAMAGED = ["/containers/foo", "/containers/foo/versions/0", "/operations/containers/foo"]


@pytest.mark.parametrize("key", DAMAGED)
def test_a_pass_touches_nothing_of_what_it_cannot_read_and_does_all_else(two: World, key: str) -> None:
    held = two.stored("/gpus/", "/ports/")
    two.store.damage(key, json.dumps({"family": 7}))
    for name in ("foo-0", "bar-0"):
        two.engine._get(name).end(137)
    assert [action.target for action in two.services.agent.reconciler.once()] == ["bar-0"]
    assert two.containers() == {"foo-0": "exited", "bar-0": "running"}
    assert two.stored("/gpus/", "/ports/") == held and two.engine.held == {"sha256:" + "b" * 64}


def test_a_claim_that_cannot_be_read_stays_and_is_given_to_nobody(two: World) -> None:
    gpu, port = two.stored("/gpus/")[0], two.stored("/ports/")[0]
    for key in (gpu, port):
        two.store.damage(key, "[]")
    assert two.services.agent.reconciler.once() == []
    assert {gpu, port} <= set(two.stored())
    (view,) = [view for view in two.services.gpus.all() if view.gpu.uuid == gpu.rpartition("/")[2]]
    assert not view.free and gpu in str(view.reason)
    with pytest.raises(errors.NotEnoughGpus):
        two.services.containers.create("more", spec(gpu_count=5))
    with pytest.raises(UnreadableRecord):
        two.services.containers.create("more", spec(ports=(PortMapping(int(port.rpartition("/")[2]), 22),)))


def test_a_gpu_whose_record_cannot_be_read_is_given_to_nobody(two: World) -> None:
    free = next(view.gpu for view in two.services.gpus.all() if view.free)
    key = f"/health/test-node/{free.uuid}"
    two.store.damage(key, '{"since": 1}')
    view = two.services.gpus.one(free.uuid)
    assert not view.free and key in str(view.reason)
    with pytest.raises(UnreadableRecord):
        two.services.gpus.schedule(free.uuid, True)
    for _ in range(10):
        two.services.agent.reconciler.once()
    stored = two.store.get(key)
    assert stored and stored.value == {"since": 1}


@pytest.mark.parametrize("key", DAMAGED)
def test_nothing_is_made_changed_or_deleted_over_it(two: World, key: str) -> None:
    two.store.damage(key, "null")
    before, services = two.containers(), two.services
    changes: list[Callable[[], object]] = [
        lambda: services.containers.create("foo", spec()),
        lambda: services.containers.change_gpus(Name("foo"), 1),
        lambda: services.containers.stop(Name("foo")),
        lambda: services.containers.delete(Name("foo"), force=True, erase=True),
        lambda: services.containers.delete(Name("foo"), force=True, erase=False),
    ]
    for change in changes:
        with pytest.raises(UnreadableRecord) as caught:
            change()
        assert caught.value.key == key
    stored = two.store.get(key)
    assert stored and stored.text == "null" and two.containers() == before


def test_an_older_version_counts_for_itself_alone(two: World) -> None:
    services = two.services
    services.containers.change_gpus(Name("foo"), 1)
    two.store.damage("/containers/foo/versions/0", "{}")
    assert [each.record.name for each in services.containers.queries.show(Name("foo")).versions] == ["foo-1"]
    assert services.containers.change_gpus(Name("foo"), 2).name == "foo-2"
    with pytest.raises(UnreadableRecord):
        services.containers.queries.show(Name("foo", 0))
    with pytest.raises(UnreadableRecord):  # it has something that would have to go, too
        services.containers.delete(Name("foo"), force=True, erase=True)
    assert two.containers()["foo-2"] == "running"


def test_a_family_whose_newest_version_is_not_on_record_is_unreadable(two: World) -> None:
    entry = two.store.get("/containers/foo")
    assert entry
    two.store.damage(entry.key, json.dumps({**entry.value, "current": 7}))
    (found,) = UnreadableRecords(two.store).all()
    assert (found.key, found.problem) == (entry.key, "its newest version, 7, is not on record")
    with pytest.raises(UnreadableRecord):
        two.services.containers.create("foo", spec())
    assert two.services.agent.reconciler.once() == []
    page = two.services.containers.queries.page()
    assert [view.family.family for view in page.containers] == ["bar"] and page.leftovers == ()


def test_a_volume_that_may_be_somebodys_stays(two: World) -> None:
    services = two.services
    two.store.damage("/volumes/vol/versions/1", "{}")
    assert services.agent.reconciler.once() == [] and services.agent.reconciler.once() == []
    assert {"vol-0", "vol-1"} <= two.engine.volumes
    with pytest.raises(UnreadableRecord):
        services.containers.create("user", spec(binds=(Bind("vol-1", "/data"),)))
    with pytest.raises(UnreadableRecord):
        services.volumes.resize(Name("vol"), "3MB")
    two.store.damage("/containers/foo", "{}")  # it may be what mounts the volume
    services.volumes.create("other", "1MB")
    with pytest.raises(UnreadableRecord):
        services.volumes.delete(Name("other"), force=False, erase=True)


def test_the_doctor_names_it_and_etcd_is_not_called_too_old(two: World) -> None:
    two.store.damage("/containers/foo/versions/0", '{"family": "foo", "container_id": []}')
    finding = doctor.examine(two.store)
    assert finding.status == "FAIL" and "/containers/foo/versions/0" in finding.found
    assert "container_id" in finding.found
    two.store.damage("/meta/newest/test-node", "7")
    two.services.guard.check()


def test_what_is_no_json_cannot_be_in_a_backup(two: World) -> None:
    two.store.damage("/containers/foo", "{")
    with pytest.raises(UnreadableRecord, match="/containers/foo"):
        Backups(two.store, "/test").take()
