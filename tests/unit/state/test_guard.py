"""An etcd that is older than Docker, or empty, and everything that only looks like it."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from app import errors
from app.adapters.gpus.simulated import SimulatedInventory
from app.bootstrap import build_services
from app.model.names import Name
from app.ports import Backends, Delete, Put
from app.state.backup import Backups
from app.state.guard import StateGuard
from tests.support.fake_peers import FakePeers
from tests.support.fake_signals import FakeSignals
from tests.support.world import CONFIG, World, make_world, spec

Change = Callable[[World], object]


def backups(world: World) -> Backups:
    return Backups(world.store, "/test")


def go_back(world: World, change: Change) -> None:
    """Let etcd be as before `change`, of which Docker keeps what it made."""
    taken = backups(world).take()
    change(world)
    backups(world).restore(taken, replace=True, save=lambda _: None)


def refused(world: World, *names: str) -> None:
    """Nothing is changed, and the reason names each of `names`."""
    before = (world.stored(), world.containers())
    for call in (
        lambda: world.services.containers.create("other", spec()),
        lambda: world.services.containers.delete(Name("foo"), force=True, erase=True),
        lambda: world.services.volumes.create("other", "1GB"),
        world.services.guard.check,
        world.services.guard.ensure,
    ):
        with pytest.raises(errors.StateUnexplained) as caught:
            call()
        assert caught.value.part == "etcd"
        for name in names:
            assert name in caught.value.message
        assert "accept-restored-state" in caught.value.message
    assert (world.stored(), world.containers()) == before


def fine(world: World) -> None:
    world.services.guard.check()
    assert world.services.guard.unexplained() == []


CHANGES: dict[str, tuple[Change, str]] = {
    "create": (lambda world: world.services.containers.create("new", spec()), "container new-0 (running)"),
    "gpu change": (lambda world: world.services.containers.change_gpus(Name("foo"), 3), "container foo-1 (running)"),
    "rollback": (lambda world: world.services.containers.roll_back(Name("foo"), 0), "container foo-2 (running)"),
    "volume": (lambda world: world.services.volumes.create("new", "1GB"), "volume new-0"),
    "resize": (lambda world: world.services.volumes.resize(Name("data"), "30GB"), "volume data-1"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_was_made_after_the_backup_is_noticed_until_it_is_accepted(world: World, kind: str) -> None:
    change, name = CHANGES[kind]
    world.services.containers.create("foo", spec(gpu_count=1))
    world.services.volumes.create("data", "20GB")
    if kind == "rollback":
        world.services.containers.change_gpus(Name("foo"), 2)
    go_back(world, change)
    refused(world, name, "older than Docker")
    assert [str(made) for made in world.services.guard.accept()] == [name]
    fine(world)
    assert world.services.containers.create("other", spec()).name == "other-0"
    assert name.split()[1] in world.containers() | dict.fromkeys(world.engine.volumes), "it is left alone"


def test_an_empty_prefix_under_containers_that_ran_is_noticed(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.services.containers.stop(Name("foo"))
    world.store.transact({}, [Delete("/", prefix=True)])
    for process in (world.services.guard, _another_process(world)):
        with pytest.raises(errors.StateUnexplained, match=r"etcd is empty, which has container foo-0 \(exited\)"):
            process.check()
    with pytest.raises(errors.StateUnexplained):
        world.services.volumes.create("other", "1GB")
    assert [made.name for made in world.services.guard.accept()] == ["foo-0"]
    fine(world)
    assert world.services.containers.create("other", spec()).name == "other-0"


def test_a_backup_that_is_new_enough_is_enough(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    taken = backups(world).take()
    world.services.containers.stop(Name("foo"))
    backups(world).restore(taken, replace=True, save=lambda _: None)
    fine(world)


def _another_process(world: World) -> StateGuard:
    return StateGuard(world.store, world.engine, world.volumes, CONFIG.node)


def test_another_node_s_things_are_its_own(world: World) -> None:
    world.services.containers.create("foo", spec())
    go_back(world, lambda world: world.services.containers.create("new", spec()))
    there = _on_another_node(world)
    there.services.guard.check()
    there.services.containers.create("there", spec())
    refused(world, "new-0")  # however much newer the other node's operations are
    go_back(there, lambda there: there.services.containers.create("late", spec()))
    with pytest.raises(errors.StateUnexplained, match="late-0"):
        there.services.guard.check()
    assert [made.name for made in there.services.guard.accept()] == ["late-0"]
    there.services.guard.check()
    refused(world, "new-0")  # what one node accepts another has not seen


def _on_another_node(world: World) -> World:
    """A second node on the same etcd."""
    config = replace(CONFIG, node="another")
    there = make_world(config)
    parts = Backends(
        world.store,
        there.engine,
        there.images,
        there.engine,
        there.engine,
        SimulatedInventory(8, "another"),
        there.layers,
        there.host,
        there.volumes,
        FakeSignals(),
        FakePeers(),
    )
    return replace(there, store=world.store, services=build_services(config, parts))


# What is legal.


def test_an_erased_family_may_leave_older_containers_however_much_happens_after_it(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.services.containers.change_gpus(Name("foo"), 2)
    world.services.containers.delete(Name("foo"), force=True, erase=True)
    assert world.containers() == {"foo-0": "exited"}
    world.store.transact({}, [Delete("/history/", prefix=True)])
    fine(world)
    world.services.containers.create("bar", spec())
    _another_process(world).check()


def test_a_state_without_notes_of_the_newest_operation_is_known_by_its_history(world: World) -> None:
    """As an older gpudock leaves it: an erased family left a container, and nothing but the history is newer."""
    world.services.containers.create("foo", spec())
    world.services.containers.change_gpus(Name("foo"), 2)
    world.services.containers.delete(Name("foo"), force=True, erase=True)
    world.store.transact({}, [Delete("/meta/newest/", prefix=True)])
    fine(world)


def test_a_note_that_stepped_back_when_two_began_at_once_harms_nothing(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.services.containers.change_gpus(Name("foo"), 2)
    world.store.transact({}, [Put("/meta/newest/test-node", {"schema": 1, "operation": "0" * 22})])
    fine(world)
    world.services.containers.delete(Name("foo"), force=True, erase=True)
    world.store.transact({}, [Put("/meta/newest/test-node", {"schema": 1, "operation": "0" * 22})])
    fine(world)


def test_what_is_recorded_needs_no_history(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.services.volumes.create("data", "20GB")
    world.store.transact({}, [Delete("/meta/newest/", prefix=True), Delete("/history/", prefix=True)])
    fine(world)


def test_an_operation_of_another_process_is_no_surprise_at_any_moment(world: World) -> None:
    world.services.containers.create("foo", spec())
    looks = []
    create, start = world.engine.create, world.engine.start
    world.store.transact({}, [Delete("/meta/newest/", prefix=True)])

    def look(method: Callable[..., object]) -> Callable[..., object]:
        def then(*args: object) -> object:
            fine(world)
            done = method(*args)
            world.store.transact({}, [Put("/meta/newest/test-node", {"schema": 1, "operation": ""})])
            fine(world)
            looks.append(1)
            return done

        return then

    world.engine.create, world.engine.start = look(create), look(start)  # type: ignore[method-assign, assignment]
    world.services.containers.change_gpus(Name("foo"), 2)
    assert len(looks) >= 2


def test_what_docker_made_too_late_was_undone_and_is_no_surprise(world: World) -> None:
    world.services.containers.create("foo", spec())
    plans = []
    create = world.engine.create

    def late(plan):  # type: ignore[no-untyped-def]
        plans.append(plan)
        raise errors.OperationFailed("Docker could not do it")

    world.engine.create = late  # type: ignore[method-assign]
    with pytest.raises(errors.OperationFailed):
        world.services.containers.change_gpus(Name("foo"), 2)
    create(plans[0])
    fine(world)
    world.store.transact({}, [Delete("/meta/newest/", prefix=True)])
    fine(world)


def test_things_of_somebody_else_do_not_count(world: World) -> None:
    world.engine.add_foreign("stranger")
    world.engine.volumes.add("stranger-0")
    fine(world)


# Operations that were running when the backup was made.


def with_a_running_operation(world: World) -> None:
    """The backup is made while a change runs, which ends well after it; then etcd is brought back."""
    world.services.containers.create("foo", spec(gpu_count=1))
    taken = []
    start = world.engine.start

    def meanwhile(ref: str) -> None:
        start(ref)
        taken.append(backups(world).take())

    world.engine.start = meanwhile  # type: ignore[method-assign]
    world.services.containers.change_gpus(Name("foo"), 3)
    world.engine.start = start  # type: ignore[method-assign]
    assert len(taken[0].operations) == 1
    backups(world).restore(taken[0], replace=True, save=lambda _: None)
    world.host.alive.discard("this-process")
    world.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    world.host.alive.add("next-process")


def test_nothing_is_undone_that_may_have_ended_well_before_somebody_has_looked(world: World) -> None:
    with_a_running_operation(world)
    world.files("foo-1")["work"] = "of hours"
    with pytest.raises(errors.StateUnexplained, match="foo-1"):
        world.services.operations.journal.recover_orphans()
    with pytest.raises(errors.StateUnexplained, match="foo-1"):
        world.services.containers.change_gpus(Name("foo"), 2)
    refused(world, "foo-1 (running)")
    assert world.files("foo-1") == {"work": "of hours"}
    (made,) = world.services.guard.accept()
    assert made.unsettled
    world.services.operations.journal.recover_orphans()
    assert world.containers() == {"foo-0": "running"}
    assert world.stored("/operations/") == []
    fine(world)
    assert len(world.in_use()) == 1


def test_a_container_that_never_ran_holds_nothing_that_could_be_lost(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=1))
    taken, plans = [], []
    create = world.engine.create

    def meanwhile(plan):  # type: ignore[no-untyped-def]
        plans.append(plan)
        taken.append(backups(world).take())
        raise errors.OperationFailed("Docker could not do it")

    world.engine.create = meanwhile  # type: ignore[method-assign]
    with pytest.raises(errors.OperationFailed):
        world.services.containers.change_gpus(Name("foo"), 3)
    create(plans[0])
    assert len(taken[0].operations) == 1
    backups(world).restore(taken[0], replace=True, save=lambda _: None)
    fine(world)


# The cost, and what a look counts for.


def test_a_change_looks_at_docker_only_now_and_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.state.guard._FRESH", 600.0)
    looks = []
    made = world.volumes.made
    monkeypatch.setattr(world.volumes, "made", lambda: looks.append(1) or made())
    for number in range(5):
        world.services.containers.create(f"foo{number}", spec())
    assert len(looks) == 2, "the first one saw an etcd that knew nothing, which does not count"
    monkeypatch.setattr("app.state.guard._FRESH", 0.0)
    world.services.guard.check()
    time.sleep(0.01)
    world.services.containers.create("bar", spec())
    assert len(looks) == 4


def test_an_etcd_that_steps_back_under_a_running_process_is_noticed_at_once(world: World) -> None:
    world.services.containers.create("foo", spec())
    old = {entry.key: entry.value for entry in world.store.list("/")}
    world.services.containers.create("bar", spec())
    world.services.guard.check()  # counts for two seconds
    world.store.transact({}, [Delete("/", prefix=True)])
    world.store.transact({}, [Put(key, value) for key, value in old.items()])
    refused(world, "bar-0")


@pytest.mark.parametrize("operations", [1, 2, 3])
def test_an_etcd_that_is_emptied_right_after_a_change_is_noticed_by_the_next(world: World, operations: int) -> None:
    for number in range(operations):
        world.services.containers.create(f"foo{number}", spec())
    world.store.transact({}, [Delete("/", prefix=True)])
    with pytest.raises(errors.StateUnexplained):
        world.services.containers.create("other", spec())


def test_what_the_last_call_saw_counts_for_the_next(world: World) -> None:
    for name in ("foo", "bar"):
        world.services.containers.create(name, spec())  # the second one's look counts for two seconds
    old = {entry.key: entry.value for entry in world.store.list("/")}
    for name in ("late", "later"):
        world.services.containers.create(name, spec())
    world.store.transact({}, [Delete("/", prefix=True)])
    world.store.transact({}, [Put(key, value) for key, value in old.items()])
    with pytest.raises(errors.StateUnexplained, match="late-0"):
        world.services.containers.create("other", spec())


def test_as_a_rule_only_the_notes_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.services.containers.create("foo", spec())
    read: list[tuple[str, ...]] = []
    listing = world.store.list

    def listed(*prefixes: str) -> object:
        read.append(prefixes)
        return listing(*prefixes)

    monkeypatch.setattr(world.store, "list", listed)
    world.services.guard.check()
    assert read == [("/meta/",)]


def test_nothing_to_accept_leaves_no_note(world: World) -> None:
    world.services.containers.create("foo", spec())
    assert world.services.guard.accept() == []
    assert world.store.get("/meta/accepted/test-node") is None
