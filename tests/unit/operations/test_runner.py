"""What dead processes left is recovered by whoever begins a change that it blocks; a preview only tells of it."""

from collections.abc import Callable
from typing import Any

import pytest

from app import errors
from app.containers.change_gpus import ChangeGpus, GpuChange
from app.containers.create import Create, CreateContainer
from app.containers.delete import DeleteContainer
from app.containers.stop import StopContainer
from app.images.pull import PullImage
from app.model.names import Name
from app.operations.base import Request
from app.operations.reader import Reader
from app.volumes.create import CreateVolume
from tests.support.world import World, spec
from tests.unit.operations.test_journal import leave_behind


@pytest.fixture
def foo(world: World) -> World:
    world.services.containers.create("foo", spec(gpu_count=3))
    return world


def counted(monkeypatch: pytest.MonkeyPatch, kind: type) -> list[Any]:
    """The requests that this kind plans from now on."""
    planned: list[Any] = []
    plan: Callable[[Reader, Any], Any] = kind.plan  # type: ignore[attr-defined]

    def counting(reader: Reader, request: Any) -> Any:
        planned.append(request)
        return plan(reader, request)

    monkeypatch.setattr(kind, "plan", staticmethod(counting))
    return planned


@pytest.mark.parametrize(
    ("kind", "step"), [("gpu", "create"), ("gpu", "stop"), ("gpu", "start"), ("start", "stop"), ("delete", "stop")]
)
@pytest.mark.parametrize(
    ("request_", "made"), [(ChangeGpus(Name("foo"), 5), "foo-1"), (StopContainer(Name("foo")), "foo-0")]
)
def test_a_change_recovers_first_what_a_dead_process_left_on_its_family(
    foo: World, kind: str, step: str, request_: Request[Any], made: str
) -> None:
    leave_behind(foo, kind, step)
    (left,) = foo.services.operations.queries.all(state="running").operations
    assert foo.services.operations.run(request_).name == made
    outcomes = {view.operation.id: view.state for view in foo.services.operations.queries.all().operations}
    assert outcomes.pop(left.operation.id) == ("done" if kind == "start" else "undone")
    assert set(outcomes.values()) == {"done"}
    assert foo.stored("/operations/") == []


@pytest.mark.parametrize("step", ["create", "start"])
def test_a_create_recovers_first_what_a_dead_one_of_the_same_name_left(foo: World, step: str) -> None:
    leave_behind(foo, "create", step)
    assert foo.services.operations.run(CreateContainer("bar", spec(gpu_count=5))).name == "bar-0"
    assert foo.containers() == {"foo-0": "running", "bar-0": "running"} and len(foo.in_use()) == 8


def test_gpus_that_a_dead_process_holds_are_had_after_one_more_plan(
    foo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(foo, "create", "create")
    planned = counted(monkeypatch, GpuChange)
    foo.services.containers.change_gpus(Name("foo"), 8)
    assert len(planned) == 2 and len(foo.in_use()) == 8


def test_a_conflict_that_no_dead_process_has_to_do_with_is_told_after_one_plan(
    foo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, request in ((GpuChange, ChangeGpus(Name("foo"), 9)), (Create, CreateContainer("foo", spec()))):
        planned = counted(monkeypatch, kind)
        with pytest.raises(errors.Conflict):
            foo.services.operations.run(request)
        assert len(planned) == 1


def test_one_that_stays_is_told_after_two(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_behind(foo, "create", "create")
    planned = counted(monkeypatch, GpuChange)
    with pytest.raises(errors.NotEnoughGpus):
        foo.services.containers.change_gpus(Name("foo"), 9)
    assert len(planned) == 2 and foo.stored("/operations/") == []


@pytest.mark.parametrize("request_", [ChangeGpus(Name("foo"), 5), DeleteContainer(Name("foo"), True, True)])
def test_a_preview_says_that_a_dead_process_s_operation_is_recovered_first(foo: World, request_: Request[Any]) -> None:
    leave_behind(foo, "gpu", "start")
    before, calls = foo.store.list("/"), list(foo.engine.calls)
    blocker = foo.services.operations.preview(request_).blocker
    assert isinstance(blocker, errors.OperationRunning) and blocker.data and blocker.data["kind"] == "gpu"
    assert blocker.message == (
        "the process of another operation (gpu) on foo-1 died; a change recovers that one first, as soon as it "
        "begins, and then goes on"
    )
    assert (foo.store.list("/"), foo.engine.calls) == (before, calls)


def test_a_preview_says_so_too_of_what_a_dead_process_only_may_block(foo: World) -> None:
    leave_behind(foo, "create", "start")
    for request, kind in (
        (ChangeGpus(Name("foo"), 6), errors.NotEnoughGpus),
        (CreateContainer("bar", spec()), errors.ContainerExists),
    ):
        blocker = foo.services.operations.preview(request).blocker
        assert type(blocker) is kind
        assert blocker.message.endswith(
            "; but first a change recovers what dead processes left (create of bar-0), and then it looks again"
        )
    assert foo.services.operations.preview(ChangeGpus(Name("foo"), 4)).blocker is None


def test_a_preview_says_nothing_of_dead_processes_where_there_are_none(foo: World) -> None:
    told = []

    def meanwhile(plan: Any) -> Any:
        told.append(foo.services.operations.preview(StopContainer(Name("foo"))).blocker)
        return create(plan)

    create, foo.engine.create = foo.engine.create, meanwhile  # type: ignore[method-assign]
    foo.services.containers.change_gpus(Name("foo"), 5)
    assert told[0] and told[0].message.startswith("another operation (gpu) on foo is running")
    blocker = foo.services.operations.preview(ChangeGpus(Name("foo"), 9)).blocker
    assert blocker and "dead" not in blocker.message


@pytest.mark.parametrize("request_", [PullImage("busybox:test"), CreateVolume("vol", "1MB")])
def test_what_a_dead_process_left_elsewhere_is_in_nobody_s_way(foo: World, request_: Request[Any]) -> None:
    leave_behind(foo, "gpu", "start")
    assert foo.services.operations.preview(request_).operation is not None


@pytest.mark.parametrize("failure", [errors.OperationFailed("no"), KeyError("nobody thought of that")])
def test_a_change_that_succeeded_is_told_so_whatever_fails_after_it(
    foo: World, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(GpuChange, "after", fail)
    assert foo.services.containers.change_gpus(Name("foo"), 5).name == "foo-1"
    assert foo.containers() == {"foo-0": "exited", "foo-1": "running"}


def test_a_change_is_undone_if_whoever_asked_for_it_cannot_be_told_that_it_began(foo: World) -> None:
    def fail(_: object) -> None:
        raise KeyError("nobody thought of that")

    with pytest.raises(KeyError):
        foo.services.operations.runner.run(ChangeGpus(Name("foo"), 5), fail)
    assert (foo.containers(), foo.stored("/operations/")) == ({"foo-0": "running"}, [])
