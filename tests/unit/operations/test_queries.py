"""Operations as others see them: listed, watched, cancelled, previewed, in the background."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app import errors
from app.containers.change_gpus import ChangeGpus
from app.containers.create import CreateContainer
from app.containers.delete import DeleteContainer
from app.containers.restart import RestartContainer
from app.containers.stop import StopContainer
from app.model.names import Name
from app.model.operation import Kind, Operation, now
from app.operations import handle
from app.operations.base import Request
from app.operations.requester import API, ITSELF, Requester, set_requester
from app.ports import Put
from app.state.codec import encode
from app.state.keys import HISTORY
from app.volumes.create import CreateVolume
from tests.support.volumes import wait_for
from tests.support.world import World, spec


@pytest.fixture
def foo(world: World) -> World:
    world.services.containers.create("foo", spec(gpu_count=2))
    return world


def during(world: World, method: str, action: Callable[[Operation], object]) -> None:
    """Do something in the middle of the next operation, when the engine's `method` is called."""
    original = getattr(world.engine, method)

    def meanwhile(*args: Any) -> Any:
        setattr(world.engine, method, original)
        (running,) = world.services.operations.queries.all(state="running").operations
        action(running.operation)
        return original(*args)

    setattr(world.engine, method, meanwhile)


def test_operations_are_listed_the_newest_first(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 3)
    with pytest.raises(errors.StartFailed):
        foo.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
        foo.services.containers.create("bar", spec())
    seen = [(v.operation.kind, v.operation.name, v.state) for v in foo.services.operations.queries.all().operations]
    assert seen == [("create", "bar-0", "undone"), ("gpu", "foo-1", "done"), ("create", "foo-0", "done")]
    failed = foo.services.operations.queries.all(state="undone").operations[0]
    assert failed.error == "broken on purpose" and foo.services.operations.queries.one(failed.operation.id) == failed
    first = foo.services.operations.queries.all(limit=2)
    rest = foo.services.operations.queries.all(limit=2, after=first.after)
    assert [v.operation.name for v in rest.operations] == ["foo-0"] and rest.after is None


@pytest.mark.parametrize("method", ["create", "stop", "start"])
def test_a_cancelled_change_is_undone(foo: World, method: str) -> None:
    asked: list[threading.Thread] = []

    def cancel(operation: Operation) -> None:
        assert foo.services.operations.queries._ask(operation)
        asked.append(threading.current_thread())

    during(foo, method, cancel)
    with pytest.raises(errors.Cancelled):
        foo.services.containers.change_gpus(Name("foo"), 4)
    assert asked and foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 2
    assert foo.stored("/operations/", "/cancellations/") == []
    assert foo.services.operations.queries.all().operations[0].state == "undone"
    assert foo.services.containers.change_gpus(Name("foo"), 4).name == "foo-1"


def test_a_cancellation_waits_for_the_end(foo: World) -> None:
    told: list[str] = []

    def cancel(operation: Operation) -> None:
        view = foo.services.operations.queries.cancel(operation.id)
        told.append(view.state)

    threads: list[threading.Thread] = []
    during(foo, "create", lambda operation: threads.append(_start(lambda: cancel(operation))))
    during_copy = foo.layers.begin

    def slow(*args: Any) -> Any:
        while not foo.stored("/cancellations/"):
            pass
        return during_copy(*args)

    foo.layers.begin = slow  # type: ignore[method-assign]
    with pytest.raises(errors.Cancelled):
        foo.services.containers.change_gpus(Name("foo"), 4)
    threads[0].join(10)
    assert told == ["undone"]


def _start(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_what_is_over_or_always_finished_cannot_be_cancelled(foo: World) -> None:
    (view,) = foo.services.operations.queries.all().operations
    with pytest.raises(errors.NotCancellable):
        foo.services.operations.queries.cancel(view.operation.id)
    with pytest.raises(errors.OperationNotFound):
        foo.services.operations.queries.cancel("nothing")
    refused: list[str] = []

    def try_to_cancel(operation: Operation) -> None:
        with pytest.raises(errors.NotCancellable):
            foo.services.operations.queries.cancel(operation.id)
        refused.append(operation.kind)

    during(foo, "stop", try_to_cancel)
    foo.services.containers.stop(Name("foo"))
    during(foo, "remove", try_to_cancel)
    foo.services.containers.delete(Name("foo"), force=True, erase=True)
    assert refused == ["stop", "delete"]


def test_the_operation_of_a_dead_process_is_cancelled_too(foo: World) -> None:
    foo.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
    foo.engine.fail_next["start"] = errors.OperationFailed("killed")
    with pytest.raises(errors.GpuChangeFailed):
        foo.services.containers.change_gpus(Name("foo"), 4)
    del foo.services.operations.journal.recover  # type: ignore[method-assign]
    (left,) = foo.services.operations.queries.all(state="running").operations
    foo.host.alive = {"next-process"}
    foo.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    assert foo.services.operations.queries.cancel(left.operation.id).state == "undone"
    assert foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 2


def test_a_long_copy_tells_how_far_it_is(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "_REPORT_EVERY", 0)
    foo.files("foo-0")["big"] = "x" * 1000
    seen: list[tuple[int | None, int | None]] = []

    def look(operation: Operation) -> None:
        seen.append((operation.done, operation.total))

    during(foo, "start", look)
    foo.services.containers.change_gpus(Name("foo"), 4)
    assert seen == [(1000, 1000)]


@pytest.mark.parametrize("fault", ["unavailable", "unknown-applied", "unknown-lost"])
def test_an_etcd_that_is_away_for_a_while_does_not_end_a_copy(
    foo: World, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    monkeypatch.setattr(handle, "_REPORT_EVERY", 0)
    begin = foo.layers.begin

    def with_fault(*args: Any) -> Any:
        transfer = begin(*args)
        finish = transfer.finish

        def faulty() -> None:
            foo.store.fail_next(fault)
            finish()

        transfer.finish = faulty  # type: ignore[method-assign]
        return transfer

    foo.layers.begin = with_fault  # type: ignore[method-assign]
    assert foo.services.containers.change_gpus(Name("foo"), 4).name == "foo-1"
    assert foo.stored("/operations/") == []


def test_a_preview_is_the_use_case_up_to_its_intent(foo: World) -> None:
    before = {entry.key: entry.value for entry in foo.store.list("/")}
    calls = list(foo.engine.calls)
    foo.files("foo-0")["big"] = "x" * 1000
    told = foo.services.operations.preview(ChangeGpus(Name("foo"), 5))
    assert told.operation and (told.operation.name, told.bytes, told.files) == ("foo-1", 1000, 1)
    assert len(told.gpus) == 5 and told.downtime > 0 and told.blocker is None
    assert foo.services.operations.preview(ChangeGpus(Name("foo"), 2)).operation is None
    blocked = foo.services.operations.preview(ChangeGpus(Name("foo"), 9))
    assert isinstance(blocked.blocker, errors.NotEnoughGpus) and blocked.operation is None
    requests: tuple[Request[Any], ...] = (
        CreateContainer("bar", spec()),
        StopContainer(Name("foo")),
        RestartContainer(Name("foo")),
        DeleteContainer(Name("foo"), force=True, erase=True),
        CreateVolume("vol", "1MB"),
    )
    for request in requests:
        assert foo.services.operations.preview(request).operation is not None
    assert {entry.key: entry.value for entry in foo.store.list("/")} == before and foo.engine.calls == calls
    foo.store.fail_next("unavailable")
    with pytest.raises(errors.Unavailable):
        foo.services.operations.preview(ChangeGpus(Name("foo"), 5))


def test_in_the_background_the_operation_is_told_when_it_begins(foo: World) -> None:
    gate, running = threading.Event(), []
    during(foo, "create", lambda operation: (running.append(operation), gate.wait(10)))
    begun = foo.services.operations.in_background(ChangeGpus(Name("foo"), 4)).start()
    assert isinstance(begun, Operation) and foo.services.operations.queries.one(begun.id).state == "running"
    gate.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(10)
    assert foo.services.operations.queries.one(begun.id).state == "done" and running[0].id == begun.id


def test_in_the_background_a_refusal_is_raised_at_once(foo: World) -> None:
    with pytest.raises(errors.NotEnoughGpus):
        foo.services.operations.in_background(ChangeGpus(Name("foo"), 9)).start()
    same = foo.services.operations.in_background(ChangeGpus(Name("foo"), 2)).start()
    assert not isinstance(same, Operation) and not same.changed


def test_who_waits_long_enough_gets_the_result_or_what_went_wrong(foo: World) -> None:
    made = foo.services.operations.in_background(ChangeGpus(Name("foo"), 4)).finish(10)
    assert not isinstance(made, Operation) and made.name == "foo-1"
    foo.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.GpuChangeFailed, match="broken on purpose"):
        foo.services.operations.in_background(ChangeGpus(Name("foo"), 2)).finish(10)


def test_who_does_not_wait_gets_the_operation_and_it_goes_on(foo: World) -> None:
    gate = threading.Event()
    during(foo, "create", lambda _operation: gate.wait(10))
    begun = foo.services.operations.in_background(ChangeGpus(Name("foo"), 4)).finish(0.01)
    assert isinstance(begun, Operation) and (begun.kind, begun.name) == ("gpu", "foo-1")
    gate.set()
    wait_for(lambda: foo.services.operations.queries.one(begun.id).state == "done")


def test_the_operations_of_a_family_come_newest_first_and_the_running_one_before_all(foo: World) -> None:
    foo.services.containers.create("foo1", spec())
    foo.services.volumes.create("foo", "1MB")
    seen: list[list[str]] = []

    def of_family() -> list[str]:
        return [view.operation.kind for view in foo.services.operations.queries.of_family("containers", "foo")]

    during(foo, "stop", lambda _operation: seen.append(of_family()))
    foo.services.containers.stop(Name("foo"))
    assert seen == [["stop", "create"]] and of_family() == ["stop", "create"]
    assert len(foo.services.operations.queries.of_family("containers", "foo", limit=1)) == 1
    assert [view.operation.kind for view in foo.services.operations.queries.of_family("volumes", "foo")] == ["create"]


def test_a_commit_keeps_changes_off_until_it_is_done(foo: World) -> None:
    def meanwhile(operation: Operation) -> None:
        with pytest.raises(errors.OperationRunning):
            foo.services.containers.change_gpus(Name("foo"), 4)
        with pytest.raises(errors.NotCancellable):
            foo.services.operations.queries.cancel(operation.id)

    during(foo, "commit", meanwhile)
    assert foo.services.containers.commit(Name("foo"), "mine") == ("foo-0", "mine")
    (view,) = foo.services.operations.queries.all(limit=1).operations
    assert (view.operation.kind, view.operation.name, view.state) == ("commit", "foo-0", "done")
    assert foo.services.containers.change_gpus(Name("foo"), 4).name == "foo-1"


def test_a_commit_that_failed_is_told_and_leaves_the_container_alone(foo: World) -> None:
    foo.engine.fail_next["commit"] = errors.CommitFailed("broken on purpose")
    with pytest.raises(errors.CommitFailed):
        foo.services.containers.commit(Name("foo"), None)
    assert foo.services.operations.queries.all(limit=1).operations[0].state == "undone"
    assert foo.stored("/operations/") == [] and foo.containers() == {"foo-0": "running"}


def test_the_record_tells_who_asked_the_steps_with_their_times_and_the_code_of_the_error(world: World) -> None:
    set_requester(Requester(API, "ann", "mine"))
    try:
        operation = world.services.operations.in_background(CreateContainer("foo", spec())).start()
        assert isinstance(operation, Operation)
        wait_for(lambda: world.services.operations.queries.one(operation.id).state == "done")
        world.engine.fail_next["start"] = errors.StartFailed("it does not start")
        with pytest.raises(errors.GpuChangeFailed):
            world.services.containers.change_gpus(Name("foo"), 1)
    finally:
        set_requester(ITSELF)
    failed, done = world.services.operations.queries.all().operations
    for view in (done, failed):
        assert (view.operation.by, view.operation.who, view.operation.request) == ("api", "ann", "mine")
    assert [step for step, _ in done.operation.steps] == ["starting"]
    assert [step for step, _ in failed.operation.steps][-1] == "undoing"
    times = [time for _, time in failed.operation.steps]
    assert times == sorted(times) and times[0] >= failed.operation.started
    assert (done.code, failed.code, failed.error) == (None, errors.StartFailed.code, "it does not start")
    world.services.containers.stop(Name("foo"))
    own = world.services.operations.queries.all(kind="stop").operations[0].operation
    assert (own.by, own.who, own.request) == ("gpudock", None, None)
    assert world.services.operations.queries.all(who="ann").operations == (failed, done)
    assert world.services.operations.queries.all(who="bob").operations == ()


def test_a_record_of_an_older_gpudock_is_read(world: World) -> None:
    operation = world.services.operations.runner.reader.draft(Kind.STOP, "foo", 0)
    newer = ("steps", "by", "who", "request", "image", "done", "total", "merge", "volumes", "resource")
    raw = {key: value for key, value in encode(operation).items() if key not in newer}
    world.store.transact({}, [Put(HISTORY + operation.id, {**raw, "ended": now(), "outcome": "done", "error": None})])
    (view,) = world.services.operations.queries.all().operations
    assert (view.operation.by, view.operation.who, view.operation.request) == (None, None, None)
    assert (view.operation.steps, view.code) == ((), None)
