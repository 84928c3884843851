"""Taking the state and bringing it back, also when that breaks off."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app import errors
from app.model.backup import Backup
from app.model.names import Name
from app.ports import Delete, Put
from app.state.backup import Backups
from tests.support.memory_store import MemoryStore
from tests.support.world import World, spec


@pytest.fixture
def backups(world: World) -> Backups:
    return Backups(world.store, "/test")


def contents(store: MemoryStore, *left_out: str) -> dict[str, Any]:
    return {entry.key: entry.value for entry in store.list("/") if entry.key not in left_out}


def never(backup: Backup) -> None:
    raise AssertionError(f"nothing was to be saved: {backup}")


def wipe(world: World) -> None:
    world.store.transact({}, [Delete("/", prefix=True)])


def test_everything_comes_back_as_it_was(world: World, backups: Backups) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    world.services.volumes.create("data", "20GB")
    before, taken = contents(world.store), backups.take()
    assert (taken.layout, taken.nodes) == (2, ("test-node",))
    assert taken.keys == before
    wipe(world)
    world.store.transact({}, [Put("/meta/schema", {"schema": 2})])  # as who looked into an empty one leaves it
    backups.restore(taken, replace=False, save=never)
    assert contents(world.store, "/meta/restored") == before
    assert len(world.in_use()) == 2
    assert world.services.containers.change_gpus(Name("foo"), 3).name == "foo-1"


def test_what_processes_tell_of_themselves_is_neither_taken_nor_touched(world: World, backups: Backups) -> None:
    world.services.containers.create("foo", spec())
    world.store.transact({}, [Put("/nodes/test-node/reconciler", {"owner": "old"})])
    taken = backups.take()
    assert not any(key.startswith("/nodes/") for key in taken.keys)
    wipe(world)
    world.store.transact({}, [Put("/nodes/test-node/reconciler", {"owner": "new"})])
    backups.restore(taken, replace=False, save=never)
    assert contents(world.store)["/nodes/test-node/reconciler"] == {"owner": "new"}


def test_there_must_be_something_to_take(world: World, backups: Backups) -> None:
    world.store.transact({}, [Put("/meta/schema", {"schema": 2})])
    with pytest.raises(errors.BackupUnsuitable, match="nothing at /test"):
        backups.take()


def test_what_is_there_is_not_overwritten_unless_it_is_asked_for_and_saved(world: World, backups: Backups) -> None:
    world.services.containers.create("foo", spec())
    old = backups.take()
    world.services.containers.create("bar", spec())
    present = contents(world.store)
    with pytest.raises(errors.StateExists, match="--replace"):
        backups.restore(old, replace=False, save=never)
    assert contents(world.store) == present
    saved: list[Backup] = []
    backups.restore(old, replace=True, save=saved.append)
    assert saved[0].keys == present
    assert contents(world.store, "/meta/restored") == old.keys


def test_nothing_is_touched_if_what_is_there_cannot_be_saved(world: World, backups: Backups) -> None:
    world.services.containers.create("foo", spec())
    present, taken = contents(world.store), backups.take()

    def full(_: Backup) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        backups.restore(taken, replace=True, save=full)
    assert contents(world.store) == present


@pytest.mark.parametrize("layout", [0, 1, 3])
def test_another_layout_is_refused(world: World, backups: Backups, layout: int) -> None:
    world.services.containers.create("foo", spec())
    taken = replace(backups.take(), layout=layout)
    wipe(world)
    with pytest.raises(errors.BackupUnsuitable, match="migrations_notes"):
        backups.restore(taken, replace=False, save=never)
    assert contents(world.store) == {}


def large(world: World, backups: Backups) -> Backup:
    """A backup of some hundred keys, so that it takes several transactions."""
    world.services.containers.create("foo", spec(gpu_count=1))
    for number in range(4):
        many = [Put(f"/history/{number}-{n}", {"id": "0", "node": "test-node"}) for n in range(100)]
        world.store.transact({}, many)
    return backups.take()


def test_a_restore_that_breaks_off_anywhere_is_recognised_and_can_be_repeated(world: World, backups: Backups) -> None:
    taken = large(world, backups)
    world.services.containers.create("later", spec())
    present = contents(world.store)
    transact, broken = world.store.transact, 0
    while True:
        wipe(world)
        for key, value in present.items():
            transact({}, [Put(key, value)])
        world.store.transact = _failing(transact, broken)  # type: ignore[method-assign]
        saved: list[Backup] = []
        try:
            backups.restore(taken, replace=True, save=saved.append)
        except errors.Unavailable:
            world.store.transact = transact  # type: ignore[method-assign]
            assert len(saved) == 1
            _is_refused_everywhere(world, backups, taken, began=broken > 0)
        else:
            break
        backups.restore(taken, replace=True, save=saved.append)
        assert len(saved) == (1 if broken else 2), "a part of a backup is not worth saving"
        assert contents(world.store, "/meta/restored") == taken.keys
        broken += 1
    assert broken >= 10


def _failing(transact: Callable[..., Any], after: int) -> Callable[..., Any]:
    left = [after]

    def fail(expected: Any, writes: Any) -> Any:
        if not left[0]:
            raise errors.Unavailable("etcd", "etcd does not answer")
        left[0] -= 1
        return transact(expected, writes)

    return fail


def _is_refused_everywhere(world: World, backups: Backups, taken: Backup, began: bool) -> None:
    if not began:
        return
    for call in (
        lambda: world.services.containers.create("new", spec()),
        world.services.guard.check,
        world.services.guard.accept,
        backups.take,
        lambda: backups.restore(taken, replace=False, save=never),
    ):
        with pytest.raises(errors.RestoreUnfinished):
            call()
    assert "/containers/new" not in contents(world.store)


def test_a_fresh_process_does_not_take_a_part_for_an_empty_prefix(world: World, backups: Backups) -> None:
    taken = large(world, backups)
    wipe(world)
    transact = world.store.transact
    world.store.transact = _failing(transact, 2)  # type: ignore[method-assign]
    with pytest.raises(errors.Unavailable):
        backups.restore(taken, replace=False, save=never)
    world.store.transact = transact  # type: ignore[method-assign]
    from app.state.schema_version import SchemaVersion

    with pytest.raises(errors.RestoreUnfinished):
        SchemaVersion(world.store).ensure()
    assert "/meta/schema" not in contents(world.store)


@pytest.mark.parametrize(
    "meddle",
    [
        Put("/containers/mine", {"family": "mine"}),
        Put("/history/3-99", {"id": "1", "node": "test-node"}),
        Delete("/history/", prefix=True),
    ],
)
def test_somebody_who_writes_meanwhile_is_noticed(world: World, backups: Backups, meddle: Put | Delete) -> None:
    taken = large(world, backups)
    wipe(world)
    transact, calls = world.store.transact, [0]

    def with_company(expected: Any, writes: Any) -> Any:
        calls[0] += 1
        done = transact(expected, writes)
        if calls[0] == 3:
            transact({}, [meddle])
        return done

    world.store.transact = with_company  # type: ignore[method-assign]
    with pytest.raises(errors.Conflict, match="stop gpudock"):
        backups.restore(taken, replace=False, save=never)
    world.store.transact = transact  # type: ignore[method-assign]
    assert "/meta/restoring" in contents(world.store)
    backups.restore(taken, replace=True, save=never)
    assert contents(world.store, "/meta/restored") == taken.keys


@pytest.mark.parametrize("present", [True, False])
def test_two_restores_at_a_time_do_not_mix(world: World, backups: Backups, present: bool) -> None:
    taken = large(world, backups)
    if not present:
        wipe(world)
    transact, calls = world.store.transact, [0]

    def with_rival(expected: Any, writes: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            Backups(world.store, "/test").restore(taken, replace=True, save=never)
        return transact(expected, writes)

    world.store.transact = with_rival  # type: ignore[method-assign]
    with pytest.raises(errors.Conflict):
        backups.restore(taken, replace=True, save=lambda _: None)
    assert contents(world.store, "/meta/restored") == taken.keys


def test_values_that_are_large_together_go_one_by_one(world: World, backups: Backups) -> None:
    world.services.containers.create("foo", spec())
    for number in range(5):
        world.store.transact({}, [Put(f"/idempotency/{number}", {"body": "x" * 500_000, "node": "test-node"})])
    taken = backups.take()
    wipe(world)
    sizes: list[int] = []
    transact = world.store.transact

    def weigh(expected: Any, writes: Any) -> Any:
        sizes.append(sum(len(str(write)) for write in writes))
        return transact(expected, writes)

    world.store.transact = weigh  # type: ignore[method-assign]
    backups.restore(taken, replace=False, save=never)
    assert max(sizes) < 1_500_000
    assert contents(world.store, "/meta/restored") == taken.keys
