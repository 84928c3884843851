import pytest

from app import errors
from app.model.container import Bind, Image, PortMapping
from app.model.names import Name
from tests.support.world import World, spec


@pytest.fixture
def foo(world: World) -> World:
    world.engine.volumes.add("veil-0")
    world.services.containers.create(
        "foo", spec(gpu_count=3, env=("A=b",), ports=(PortMapping(2333, 22),), binds=(Bind("veil-0", "/veil"),))
    )
    world.files("foo-0")["vim"] = "installed"
    return world


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8])
def test_a_gpu_change_makes_the_next_version_with_everything_in_it(foo: World, count: int) -> None:
    before = foo.in_use()
    made = foo.services.containers.change_gpus(Name("foo", 0), count)
    assert made.name == "foo-1" and foo.containers() == {"foo-0": "exited", "foo-1": "running"}
    assert foo.files("foo-1") == {"vim": "installed"} and foo.files("foo-0") == {"vim": "installed"}
    now = foo.in_use()
    assert len(now) == count and (now <= before or before <= now)
    old, new = foo.engine.containers.values()
    assert old.plan and new.plan and new.plan.spec == old.plan.spec.with_gpus(count)
    assert set(new.plan.gpus) == now
    assert foo.stored("/operations/") == []


def test_the_same_count_changes_nothing(foo: World) -> None:
    made = foo.services.containers.change_gpus(Name("foo", 0), 3)
    assert (made.name, made.changed) == ("foo-0", False)
    assert foo.containers() == {"foo-0": "running"}


def test_an_older_version_is_refused(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 1)
    for call in (
        lambda: foo.services.containers.change_gpus(Name("foo", 0), 2),
        lambda: foo.services.containers.stop(Name("foo", 0)),
        lambda: foo.services.containers.restart(Name("foo", 0)),
    ):
        with pytest.raises(errors.NotNewestVersion) as caught:
            call()
        assert caught.value.data == {"newest": "foo-1"}


@pytest.mark.parametrize("step", ["create", "stop", "start", "copy_live", "finish", "inspect"])
def test_a_failed_change_lets_the_old_version_run_on(foo: World, step: str) -> None:
    before = foo.in_use()
    faults = foo.layers.fail_next if step in ("copy_live", "finish") else foo.engine.fail_next
    faults[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.GpuChangeFailed):
        foo.services.containers.change_gpus(Name("foo", 0), 5)
    assert foo.containers() == {"foo-0": "running"} and foo.in_use() == before
    assert foo.files("foo-0") == {"vim": "installed"} and foo.stored("/operations/") == []
    assert foo.services.containers.change_gpus(Name("foo", 0), 5).name == "foo-1"


def test_too_few_gpus_for_a_change_change_nothing(foo: World) -> None:
    with pytest.raises(errors.NotEnoughGpus):
        foo.services.containers.change_gpus(Name("foo", 0), 9)
    assert foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 3


def test_stop_frees_the_gpus_and_keeps_the_port(foo: World) -> None:
    foo.services.containers.stop(Name("foo", 0))
    assert foo.containers() == {"foo-0": "exited"} and foo.in_use() == set()
    with pytest.raises(errors.PortTaken):
        foo.services.containers.create("bar", spec(ports=(PortMapping(2333, 22),)))
    assert foo.services.containers.stop(Name("foo", 0)).changed is False


def test_a_stopped_container_with_gpus_restarts_as_the_next_version(foo: World) -> None:
    foo.services.containers.stop(Name("foo", 0))
    foo.services.containers.create("bar", spec(gpu_count=5))
    made = foo.services.containers.restart(Name("foo", 0))
    assert made.name == "foo-1" and foo.files("foo-1") == {"vim": "installed"} and len(foo.in_use()) == 8


def test_a_stopped_container_whose_gpus_are_gone_stays_stopped(foo: World) -> None:
    foo.services.containers.stop(Name("foo", 0))
    foo.services.containers.create("bar", spec(gpu_count=6))
    with pytest.raises(errors.NotEnoughGpus):
        foo.services.containers.restart(Name("foo", 0))
    assert foo.containers() == {"foo-0": "exited", "bar-0": "running"} and len(foo.in_use()) == 6


def test_a_running_container_with_gpus_restarts_in_place(foo: World) -> None:
    before = foo.in_use()
    assert foo.services.containers.restart(Name("foo", 0)).name == "foo-0"
    assert foo.containers() == {"foo-0": "running"} and foo.in_use() == before


def test_a_container_without_gpus_restarts_in_place_when_stopped(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.services.containers.stop(Name("foo"))
    assert world.services.containers.restart(Name("foo", 0)).name == "foo-0"
    assert world.containers() == {"foo-0": "running"}


def test_a_running_container_is_deleted_only_with_force(foo: World) -> None:
    with pytest.raises(errors.ContainerRunning):
        foo.services.containers.delete(Name("foo", 0), force=False, erase=True)
    assert foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 3


def test_an_erased_family_is_as_if_it_had_never_been(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 1)
    foo.services.containers.delete(Name("foo", 1), force=True, erase=True)
    assert foo.stored() == [] and foo.containers() == {"foo-0": "exited"}
    with pytest.raises(errors.ContainerExists, match="foo-0"):
        foo.services.containers.create("foo", spec())
    foo.services.containers.delete(Name("foo", 0), force=False, erase=True)
    assert foo.containers() == {}
    assert foo.services.containers.create("foo", spec()).name == "foo-0"


def test_a_kept_record_goes_on_with_everything_it_had(foo: World) -> None:
    foo.services.containers.delete(Name("foo", 0), force=True, erase=False)
    assert foo.containers() == {} and foo.in_use() == set() and foo.stored("/ports/") == []
    assert foo.services.containers.queries.show(Name("foo")).state == "removed"
    with pytest.raises(errors.ContainerNotFound):
        foo.services.containers.stop(Name("foo", 0))
    made = foo.services.containers.change_gpus(Name("foo", 0), 2)
    assert made.name == "foo-1" and foo.files("foo-1") == {"vim": "installed"} and len(foo.in_use()) == 2
    assert foo.stored("/ports/") == ["/ports/test-node/2333"]
    assert not [path for path in foo.engine.layers if path.startswith("/aside/")]


def test_a_kept_record_restarts_with_the_same_count(foo: World) -> None:
    foo.services.containers.delete(Name("foo", 0), force=True, erase=False)
    made = foo.services.containers.restart(Name("foo", 0))
    assert made.name == "foo-1" and len(foo.in_use()) == 3 and foo.files("foo-1") == {"vim": "installed"}


def test_deleting_an_old_version_leaves_the_newest_alone(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 2)
    foo.services.containers.delete(Name("foo", 0), force=False, erase=True)
    assert foo.containers() == {"foo-1": "running"} and len(foo.in_use()) == 2
    assert [v.record.name for v in foo.services.containers.queries.show(Name("foo")).versions] == ["foo-1"]


def test_anonymous_volumes_go_along_and_end_with_the_last_container(world: World) -> None:
    world.engine.images["busybox:test"] = Image("sha256:" + "c" * 64, volumes=("/data",))
    world.services.containers.create("foo", spec())
    (volume,) = world.engine.volumes
    world.services.containers.change_gpus(Name("foo"), 1)
    assert [c.anonymous for c in world.engine.containers.values()] == [{"/data": volume}] * 2
    world.services.containers.delete(Name("foo", 1), force=True, erase=True)
    assert world.engine.volumes == {volume}
    world.services.containers.delete(Name("foo", 0), force=True, erase=True)
    assert world.engine.volumes == set() and world.engine.held == set()


def test_a_failed_restart_of_a_deleted_container_keeps_its_anonymous_volume(world: World) -> None:
    world.engine.images["busybox:test"] = Image("sha256:" + "c" * 64, volumes=("/data",))
    world.services.containers.create("foo", spec())
    (volume,) = world.engine.volumes
    world.services.containers.delete(Name("foo"), force=True, erase=False)
    world.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.RestartFailed):
        world.services.containers.restart(Name("foo"))
    assert world.engine.volumes == {volume} and world.engine.held
    assert world.services.containers.restart(Name("foo")).name == "foo-1"


def test_a_container_removed_by_hand_is_shown_and_can_be_deleted(foo: World) -> None:
    foo.engine.remove("foo-0")
    assert foo.services.containers.queries.show(Name("foo")).state == "missing"
    for change in (
        lambda: foo.services.containers.change_gpus(Name("foo"), 1),
        lambda: foo.services.containers.restart(Name("foo")),
    ):
        with pytest.raises(errors.ContainerNotFound, match="behind gpudock's back"):
            change()
    assert len(foo.in_use()) == 3
    foo.services.containers.stop(Name("foo"))
    assert foo.in_use() == set()
    foo.services.containers.delete(Name("foo"), force=False, erase=True)
    assert foo.stored() == []


def test_a_container_of_another_node_is_refused(foo: World) -> None:
    from app.ports import Put

    entry = foo.store.get("/containers/foo")
    assert entry is not None
    foo.store.transact({}, [Put("/containers/foo", {**entry.value, "node": "elsewhere"})])
    with pytest.raises(errors.OnAnotherNode) as caught:
        foo.services.containers.stop(Name("foo"))
    assert caught.value.data == {"node": "elsewhere"}


def test_a_volume_takes_the_place_of_an_anonymous_one(world: World) -> None:
    world.engine.images["busybox:test"] = Image("sha256:" + "c" * 64, volumes=("/data",))
    world.engine.volumes |= {"a-0", "b-0"}
    world.services.containers.create("foo", spec(binds=(Bind("a-0", "/a"),)))
    world.services.containers.change_volume(Name("foo"), Bind("a-0", "/a"), Bind("b-0", "/data"))
    plan = world.engine.containers[world.services.containers.records.version(Name("foo")).container_id].plan
    assert plan is not None and plan.spec.binds == (Bind("b-0", "/data"),) and plan.anonymous == {}


def test_erasing_a_kept_record_is_finished_once_its_files_may_be_gone(foo: World) -> None:
    foo.services.containers.delete(Name("foo", 0), force=True, erase=False)
    foo.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
    foo.store.fail_next("unknown-lost", skip=2)
    with pytest.raises(errors.Unavailable):
        foo.services.containers.delete(Name("foo"), force=False, erase=True)
    assert not [path for path in foo.engine.layers if path.startswith("/aside/")]
    del foo.services.operations.journal.recover  # type: ignore[method-assign]
    foo.host.alive = {"next-process"}
    foo.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    foo.services.operations.journal.recover_orphans()
    assert foo.stored("/containers/", "/operations/") == []
