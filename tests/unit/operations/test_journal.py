"""Operations that break: outcomes that nobody knows, parts that are down, processes that died."""

import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from app import errors
from app.model.names import Name
from app.ports import Delete, Put
from app.state.keys import HISTORY
from tests.support.world import World, spec


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_keys_of_another_layout_are_left_alone(world: World) -> None:
    world.store.transact({}, [Put("/meta/schema", {"schema": 3})])
    with pytest.raises(errors.Unavailable, match="migrations_notes"):
        world.services.containers.create("foo", spec())
    assert world.stored() == [] and world.containers() == {}


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_a_write_that_happened_without_an_answer_counts(world: World, skip: int) -> None:
    world.store.fail_next("unknown-applied", skip=skip)
    try:
        world.services.containers.create("foo", spec(gpu_count=2))
        survived = True
    except errors.Unavailable:
        survived = False
        wait_until(lambda: world.stored("/operations/") == [])
    assert survived == (world.containers() == {"foo-0": "running"})
    assert len(world.in_use()) == (2 if survived else 0)


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_a_write_that_was_lost_undoes_the_operation(world: World, skip: int) -> None:
    world.store.fail_next("unknown-lost", skip=skip)
    with pytest.raises(errors.Unavailable):
        world.services.containers.create("foo", spec(gpu_count=2))
    wait_until(lambda: world.stored() == [])
    assert world.containers() == {} and world.in_use() == set()


@pytest.mark.parametrize("step", ["create", "stop", "start"])
def test_docker_going_down_during_a_change_is_undone_when_it_is_back(world: World, step: str) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    world.engine.lose_answer[step] = errors.Unavailable("docker", "Docker does not answer")
    with pytest.raises(errors.Unavailable):
        world.services.containers.change_gpus(Name("foo"), 4)
    wait_until(lambda: world.stored("/operations/") == [])
    assert world.containers() == {"foo-0": "running"} and len(world.in_use()) == 2


def leave_behind(world: World, kind: str, step: str) -> None:
    """Let the next operation of `kind` stay as a dead process would leave it."""

    class Killed(BaseException):
        pass

    settle = world.services.operations.journal.recover
    background = world.services.operations.journal._recover_in_background
    world.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
    world.services.operations.journal._recover_in_background = lambda *_: None  # type: ignore[method-assign]
    world.engine.lose_answer[step] = Killed()  # type: ignore[assignment]
    with pytest.raises(Killed):
        {
            "create": lambda: world.services.containers.create("bar", spec(gpu_count=4)),
            "gpu": lambda: world.services.containers.change_gpus(Name("foo"), 6),
            "stop": lambda: world.services.containers.stop(Name("foo")),
            "start": lambda: world.services.containers.restart(Name("foo")),
            "delete": lambda: world.services.containers.delete(Name("foo"), force=True, erase=False),
        }[kind]()
    world.services.operations.journal.recover = settle  # type: ignore[method-assign]
    world.services.operations.journal._recover_in_background = background  # type: ignore[method-assign]
    assert world.stored("/operations/")
    world.host.alive.discard("this-process")
    world.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    world.host.alive.add("next-process")


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("create", "create"),
        ("create", "start"),
        ("gpu", "create"),
        ("gpu", "stop"),
        ("gpu", "start"),
        ("stop", "stop"),
        ("start", "stop"),
        ("start", "start"),
        ("delete", "stop"),
        ("delete", "remove"),
    ],
)
def test_what_a_dead_process_left_is_settled_by_whoever_meets_it(world: World, kind: str, step: str) -> None:
    world.services.containers.create("foo", spec(gpu_count=3))
    world.files("foo-0")["vim"] = "installed"
    leave_behind(world, kind, step)
    world.services.operations.journal.recover_orphans()
    assert world.stored("/operations/") == []
    state = world.services.containers.queries.show(Name("foo")).state
    assert state == {"stop": "stopped", "delete": "removed" if step == "remove" else "exited"}.get(kind, "running")
    assert "bar-0" not in world.containers() and "foo-1" not in world.containers()
    assert len(world.in_use()) == (0 if state in ("stopped", "removed") else 3)
    if kind != "delete":
        assert world.files("foo-0") == {"vim": "installed"}
    world.services.containers.delete(Name("foo"), force=True, erase=True)
    assert world.services.containers.create("foo", spec(gpu_count=8)).name == "foo-0"


def test_gpus_that_a_dead_process_claimed_are_found_when_they_are_needed(world: World) -> None:
    world.services.containers.create("foo", spec())
    leave_behind(world, "create", "create")
    assert len(world.in_use()) == 4
    world.services.containers.create("big", spec(gpu_count=8))
    assert len(world.in_use()) == 8 and world.containers() == {"foo-0": "running", "big-0": "running"}


def test_a_process_that_lost_its_operation_touches_nothing_more(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=1))
    stop = world.engine.stop

    def taken_over_meanwhile(ref: str) -> None:
        stop(ref)
        entry = world.store.get("/operations/containers/foo")
        assert entry is not None
        world.store.transact({}, [Put(entry.key, {**entry.value, "owner": "somebody-else"})])
        world.host.alive.add("somebody-else")

    world.engine.stop = taken_over_meanwhile  # type: ignore[method-assign]
    with pytest.raises(errors.Fenced):
        world.services.containers.change_gpus(Name("foo"), 2)
    assert world.containers() == {"foo-0": "exited", "foo-1": "created"}
    assert world.stored("/operations/") == ["/operations/containers/foo"]


def test_a_running_operation_keeps_others_off(world: World) -> None:
    world.services.containers.create("foo", spec())
    create = world.engine.create
    refused = []

    def meanwhile(plan):  # type: ignore[no-untyped-def]
        for call in (
            lambda: world.services.containers.stop(Name("foo")),
            lambda: world.services.containers.change_gpus(Name("foo"), 0),
            lambda: world.services.containers.delete(Name("foo"), True, True),
        ):
            with pytest.raises(errors.OperationRunning) as caught:
                call()
            refused.append(caught.value.data["kind"])
        return create(plan)

    world.engine.create = meanwhile
    world.services.containers.change_gpus(Name("foo"), 2)
    assert refused == ["gpu"] * 3


def late_write_before(world: World, monkeypatch: pytest.MonkeyPatch, text: str, lost: bool = False) -> None:
    """An earlier write to the operation's record lands in etcd right before the first one with that text.

    With `lost`, that one itself gets lost.
    """
    transact, landed = world.store.transact, []

    def overtaken(expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        if not landed and puts(writes, text):
            (entry,) = world.store.list("/operations/")
            landed.append(transact({}, [Put(entry.key, entry.value)]))
            if lost:
                world.store.fail_next("unknown-lost")
        return transact(expected, writes)

    monkeypatch.setattr(world.store, "transact", overtaken)


def puts(writes: Sequence[Put | Delete], text: str) -> bool:
    return any(isinstance(write, Put) and text in f"{write.key} {dict(write.value)}" for write in writes)


def test_an_earlier_write_that_lands_late_is_not_taken_for_the_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    late_write_before(world, monkeypatch, HISTORY, lost=True)
    with pytest.raises(errors.Unavailable):
        world.services.containers.change_gpus(Name("foo"), 4)
    wait_until(lambda: world.stored("/operations/") == [])
    assert world.containers() == {"foo-0": "running"} and len(world.in_use()) == 2


def test_a_recovery_that_meets_a_late_write_is_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    world.engine.lose_answer["create"] = errors.OperationFailed("no room for it")
    late_write_before(world, monkeypatch, "undoing")
    with pytest.raises(errors.OperationFailed):
        world.services.containers.change_gpus(Name("foo"), 4)
    wait_until(lambda: world.stored("/operations/") == [])
    assert world.containers() == {"foo-0": "running"} and len(world.in_use()) == 2
