"""What a pass decides and does, over working fakes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from app import errors
from app.agent.executor import ActionExecutor
from app.agent.leadership import Contact, Leadership
from app.agent.plan import Outages, plan
from app.agent.snapshot import SnapshotReader
from app.model.container import ContainerPlan, Labels, PortMapping
from app.model.gpu import Holder
from app.model.names import Name
from app.model.operation import Operation, now
from app.ports import Put
from app.state.codec import encode
from tests.support.world import World, spec


@pytest.fixture
def foo(world: World) -> World:
    world.services.containers.create("foo", spec(gpu_count=2, ports=(PortMapping(2333, 22),)))
    return world


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time by which an executor pauses, in seconds, as its only item."""
    now_ = [1000.0]
    monkeypatch.setattr("app.agent.executor.time", SimpleNamespace(monotonic=lambda: now_[0]))
    return now_


def snapshot_reader(world: World) -> SnapshotReader:
    return SnapshotReader(
        world.store, world.engine, world.images, world.volumes, world.inventory, world.host, "test-node"
    )


def executor(world: World) -> ActionExecutor:
    """One that remembers nothing."""
    return replace(world.services.agent.reconciler.executor, pauses={}, planned=frozenset())


def decided(world: World, outages: Outages = ()) -> list[str]:
    return [f"{action.kind} {action.target}" for action in plan(snapshot_reader(world).read(), outages)]


def reconcile(world: World, outages: Outages = ()) -> list[str]:
    actions = plan(snapshot_reader(world).read(), outages)
    executor(world).execute(actions)
    return [f"{action.kind} {action.target}" for action in actions]


def container(world: World, name: str):  # type: ignore[no-untyped-def]
    return world.engine._get(name)


def test_when_all_is_well_nothing_is_done(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 3)
    foo.services.containers.create("bar", spec())
    foo.services.containers.stop(Name("bar"))
    before = [entry.value for entry in foo.store.list("/")]
    assert reconcile(foo) == [] and [entry.value for entry in foo.store.list("/")] == before


@pytest.mark.parametrize("code", [129, 130, 137, 143])
def test_what_was_ended_by_hand_runs_again(foo: World, code: int) -> None:
    container(foo, "foo-0").end(code)
    assert reconcile(foo) == ["start foo-0"] and foo.containers() == {"foo-0": "running"}
    (view,) = foo.services.operations.queries.all(limit=1).operations
    assert (view.operation.kind, view.operation.name, view.state) == ("resume", "foo-0", "done")
    assert decided(foo) == []


@pytest.mark.parametrize("code", [0, 1, 2, 127, 134, 139])
def test_a_program_that_ended_by_itself_is_left_alone(foo: World, code: int) -> None:
    container(foo, "foo-0").end(code)
    assert decided(foo) == [] and len(foo.in_use()) == 2


def test_a_program_that_took_too_much_memory_is_left_alone(foo: World) -> None:
    container(foo, "foo-0").end(137, out_of_memory=True)
    assert decided(foo) == []


@pytest.mark.parametrize(("offset", "started"), [(0, True), (-100, False), (100, False)])
def test_what_ended_while_docker_was_away_runs_again_whatever_its_exit_code(
    foo: World, offset: float, started: bool
) -> None:
    container(foo, "foo-0").end(0)
    ended = container(foo, "foo-0").ended + offset
    assert decided(foo, [(ended - 5, ended + 5)]) == (["start foo-0"] if started else [])


def test_a_stopped_container_stays_stopped(foo: World) -> None:
    foo.services.containers.stop(Name("foo"))
    assert decided(foo) == []


def test_nothing_starts_while_its_gpus_are_not_there(foo: World) -> None:
    container(foo, "foo-0").end(137)
    held = {gpu.uuid for gpu in foo.inventory.gpus() if gpu.uuid in foo.in_use()}
    foo.inventory.error = errors.Unavailable("nvml", "away")
    assert decided(foo) == []
    foo.inventory.error = None
    lost = next(gpu.index for gpu in foo.inventory.gpus() if gpu.uuid in held)
    foo.inventory.changes = {lost: {"fault": "lost"}}
    assert decided(foo) == []
    foo.inventory.changes = {}
    assert decided(foo) == ["start foo-0"]


def test_a_container_without_gpus_needs_no_inventory(world: World) -> None:
    world.services.containers.create("foo", spec())
    container(world, "foo-0").end(137)
    world.inventory.error = errors.Unavailable("nvml", "away")
    assert reconcile(world) == ["start foo-0"] and world.containers() == {"foo-0": "running"}


def test_what_does_not_start_is_tried_less_and_less_often(foo: World, clock: list[float]) -> None:
    container(foo, "foo-0").end(137)
    acting = executor(foo)
    for _ in range(3):
        foo.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
        acting.execute(plan(snapshot_reader(foo).read(), ()))
    assert foo.engine.calls.count(("start", container(foo, "foo-0").id)) == 2
    (pause,) = acting.pauses.values()
    clock[0] = pause.until
    acting.execute(plan(snapshot_reader(foo).read(), ()))
    assert foo.engine.calls.count(("start", container(foo, "foo-0").id)) == 3
    (longer,) = acting.pauses.values()
    assert longer.length > pause.length and foo.stored("/operations/") == []


def test_what_need_not_be_tried_again_is_forgotten(foo: World, clock: list[float]) -> None:
    container(foo, "foo-0").end(137)
    acting = executor(foo)
    acting.execute(plan(snapshot_reader(foo).read(), ()))
    (pause,) = acting.pauses.values()
    acting.execute(plan(snapshot_reader(foo).read(), ()))
    assert list(acting.pauses.values()) == [pause], "it may end again at once"
    clock[0] = pause.until + pause.length
    acting.execute(plan(snapshot_reader(foo).read(), ()))
    assert acting.pauses == {}


def test_a_dead_process_is_settled(foo: World) -> None:
    foo.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
    foo.engine.fail_next["start"] = errors.OperationFailed("killed")
    with pytest.raises(errors.GpuChangeFailed):
        foo.services.containers.change_gpus(Name("foo"), 4)
    del foo.services.operations.journal.recover  # type: ignore[method-assign]
    assert decided(foo) == [], "its process lives"
    foo.host.alive = {"next-process"}
    foo.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    assert reconcile(foo)[0] == "settle gpu foo-1"
    assert foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 2 and decided(foo) == []


def late(world: World, operation: str, outcome: str | None) -> str:
    """A container that Docker made for an operation, recorded nowhere."""
    labels = Labels("test-node", "bar", 0, operation)
    if outcome:
        record = encode(Operation(operation, "create", "bar", 0, "test-node", "dead", now()))
        history = {**record, "outcome": outcome, "ended": now(), "error": None}
        world.store.transact({}, [Put(f"/history/{operation}", history)])
    return world.engine.create(ContainerPlan("bar-0", labels, "sha256:" + "b" * 64, spec()))


def test_what_docker_made_too_late_is_removed(foo: World) -> None:
    late(foo, "00gone", "undone")
    assert reconcile(foo) == ["remove bar-0"] and foo.containers() == {"foo-0": "running"}
    assert foo.services.operations.queries.all(limit=1).operations[0].operation.kind == "remove stray"


@pytest.mark.parametrize("outcome", [None, "done"])
def test_what_may_be_an_erased_familys_is_left_alone(foo: World, outcome: str | None) -> None:
    late(foo, "00gone", outcome)
    assert decided(foo) == []


def test_older_versions_of_an_erased_family_are_left_alone(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 1)
    foo.services.containers.delete(Name("foo"), force=True, erase=True)
    assert foo.containers() == {"foo-0": "exited"} and decided(foo) == []


def test_containers_of_somebody_else_are_left_alone(foo: World) -> None:
    foo.engine.add_foreign("theirs", "running")
    foo.engine.add_foreign("theirs-0", "exited")
    assert decided(foo) == []


def test_an_old_version_on_gpus_of_the_new_one_is_stopped(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 3)
    container(foo, "foo-0").state = "running"
    assert reconcile(foo) == ["stop foo-0"] and foo.containers() == {"foo-0": "exited", "foo-1": "running"}


def test_a_stopped_container_started_by_hand_is_stopped_once_its_gpus_are_anothers(foo: World) -> None:
    foo.services.containers.stop(Name("foo"))
    container(foo, "foo-0").state = "running"
    assert decided(foo) == [], "nobody else holds them"
    foo.services.containers.create("bar", spec(gpu_count=8))
    assert decided(foo) == ["stop foo-0"]


def test_claims_without_an_owner_are_freed(foo: World) -> None:
    records = foo.services.containers.records
    free = next(gpu.uuid for gpu in foo.inventory.gpus() if gpu.uuid not in foo.in_use())
    foo.store.transact({}, records.put_claims(Holder("nobody", 0, "op", "c" * 64), [free], [4444]))
    assert sorted(reconcile(foo)) == [f"release GPU {free}", "release host port 4444"]
    assert len(foo.in_use()) == 2 and "/ports/test-node/4444" not in foo.stored("/ports/")


def test_a_stopped_container_keeps_its_port_and_no_gpu(foo: World) -> None:
    held = sorted(foo.in_use())
    foo.services.containers.stop(Name("foo"))
    foo.store.transact({}, foo.services.containers.records.put_claims(Holder("foo", 0, "op", "c" * 64), held[:1], []))
    assert reconcile(foo) == [f"release GPU {held[0]}"]
    assert foo.stored("/ports/") == ["/ports/test-node/2333"]


def test_a_claim_of_a_container_that_still_runs_is_kept(foo: World) -> None:
    foo.services.containers.stop(Name("foo"))
    container(foo, "foo-0").state = "running"
    mine = container(foo, "foo-0")
    holder = Holder("foo", 0, "op", mine.id)
    foo.store.transact({}, foo.services.containers.records.put_claims(holder, mine.plan.gpus[:1], []))
    assert decided(foo) == []


def test_what_an_operation_works_on_is_left_to_it(foo: World) -> None:
    create, seen = foo.engine.create, []

    def meanwhile(planned):  # type: ignore[no-untyped-def]
        made = create(planned)
        container(foo, "foo-0").end(137)
        seen.extend(decided(foo))
        container(foo, "foo-0").state = "running"
        return made

    foo.engine.create = meanwhile
    foo.services.containers.change_gpus(Name("foo"), 4)
    assert seen == []


def test_a_claim_that_changed_meanwhile_is_kept(foo: World) -> None:
    free = next(gpu.uuid for gpu in foo.inventory.gpus() if gpu.uuid not in foo.in_use())
    foo.store.transact({}, foo.services.containers.records.put_claims(Holder("nobody", 0, "op"), [free], []))
    actions = plan(snapshot_reader(foo).read(), ())
    foo.store.transact({}, foo.services.containers.records.put_claims(Holder("nobody", 1, "op2"), [free], []))
    executor(foo).execute(actions)
    assert free in foo.in_use()


def test_one_process_leads_until_it_dies(world: World) -> None:
    first = Leadership(world.store, world.host, "test-node")
    assert first.acquire() and first.acquire()
    second = Leadership(world.store, replace_host(world, "second"), "test-node")
    assert not second.acquire()
    world.host.alive.discard("this-process")
    assert second.acquire()
    with pytest.raises(errors.Fenced):
        Contact(world.store, first).renew(1.0, away=False)


def replace_host(world: World, token: str):  # type: ignore[no-untyped-def]
    host = type(world.host)()
    host.alive, host.own_token = world.host.alive, lambda: token  # type: ignore[method-assign]
    world.host.alive.add(token)
    return host


def test_outages_are_remembered_across_restarts(world: World) -> None:
    leadership = Leadership(world.store, world.host, "test-node")
    assert leadership.acquire()
    assert Contact(world.store, leadership).renew(1000.0, away=False) == []
    assert Contact(world.store, leadership).renew(1003.0, away=False) == []
    assert Contact(world.store, leadership).renew(1006.0, away=True) == [(1003.0, 1006.0)]
    assert Contact(world.store, leadership).renew(1100.0, away=False) == [(1003.0, 1006.0), (1006.0, 1100.0)]
    assert Contact(world.store, leadership).outages() == [(1003.0, 1006.0), (1006.0, 1100.0)]


def test_a_pass_does_nothing_while_docker_is_down(foo: World) -> None:
    foo.engine.fail_next["list"] = errors.Unavailable("docker", "away")
    with pytest.raises(errors.Unavailable):
        snapshot_reader(foo).read()
    assert replace(foo.services.config).node == "test-node" and len(foo.in_use()) == 2
