"""Operations that can neither be finished nor undone: they end as stuck, and each way out of that does what it says."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import errors
from app.containers.change_gpus import ChangeGpus
from app.containers.commit import Commit, CommitContainer
from app.containers.undo import Undo
from app.model.container import PortMapping
from app.model.messages import Text
from app.model.names import Name, parse
from app.model.operation import Kind, Operation, State
from app.operations import journal
from app.operations.base import Resolution, WayOut
from app.operations.journal import MAX_TRIES
from app.operations.queries import OperationView
from app.ports import Delete, Put
from app.state.keys import GPUS, IMAGES, OPERATIONS, VOLUMES, agent_key
from tests.support.memory_store import Fault
from tests.support.stuck import FOO, SCENARIOS, VOL, WHY, Scenario, break_after, break_points, stick, stuck_commit
from tests.support.world import CONFIG, World, make_world, spec


@dataclass(frozen=True)
class Estate:
    """What there is: the states of containers, the GPUs and ports that are held, the volumes that gpudock made."""

    containers: Mapping[str, str]
    gpus: frozenset[str]
    ports: frozenset[str]
    volumes: frozenset[str]
    records: frozenset[str]
    incomplete: frozenset[str]


def estate(world: World) -> Estate:
    volumes = world.services.operations.resolver.reader.volume_records.everything()[1]
    return Estate(
        containers=world.containers(),
        gpus=frozenset(key.rpartition("/")[2] for key in world.stored("/gpus/")),
        ports=frozenset(key.rpartition("/")[2] for key in world.stored("/ports/")),
        volumes=frozenset(world.volumes.plans),
        records=frozenset(key for key in world.stored("/containers/", "/volumes/") if "/versions/" in key),
        incomplete=frozenset(name for name, record in volumes.items() if record.merging),
    )


def told_of(effects: Iterable[Text], *beginnings: str) -> set[str]:
    """The first value of each effect whose template begins so."""
    found = [effect for effect in effects if effect.template.startswith(beginnings)]
    return {str(next(iter(effect.values.values()))) for effect in found}


def check_effects(before: Estate, after: Estate, effects: list[Text]) -> None:
    """What was said is what happened, and nothing else."""
    gone = before.containers.keys() - after.containers.keys()
    assert not after.containers.keys() - before.containers.keys()
    assert gone == told_of(effects, "removes container")
    runs = {name for name, state in after.containers.items() if state == "running"}
    ran = {name for name, state in before.containers.items() if state == "running"}
    assert runs - ran == told_of(effects, "starts container")
    assert ran - runs - gone == told_of(effects, "stops container")
    left = told_of(effects, "leaves container")
    assert all(before.containers[name] == after.containers[name] for name in left)
    assert (before.gpus - after.gpus, after.gpus - before.gpus) == (told_of(effects, "frees GPU"), set())
    assert (before.ports - after.ports, after.ports - before.ports) == (told_of(effects, "frees host port"), set())
    assert (before.volumes - after.volumes, after.volumes - before.volumes) == (
        told_of(effects, "removes volume"),
        set(),
    )
    assert after.incomplete == told_of(effects, "leaves volume {volume} with only")
    assert bool(before.records - after.records) == bool(told_of(effects, "removes every record", "removes the record"))


def check_nothing_is_held(world: World) -> None:
    """Whatever is claimed, a family on record holds: a running one its GPUs, a stopped one its ports."""
    records, families = world.services.operations.resolver.reader.records, {}
    for family in records.everything()[0]:
        families[family.family] = family
    claims = records.claims()
    for uuid, holder in claims.gpus.items():
        assert families[holder.family].desired == "running", uuid
        assert holder.version == families[holder.family].current
    for port, holder in claims.ports.items():
        assert holder.version == families[holder.family].current, port


def reconcile(world: World) -> None:
    for _ in range(3):
        world.services.agent.reconciler.once()


def check_usable(world: World, scenario: Scenario) -> None:
    """Everything can be deleted and made again, with every GPU."""
    services = world.services
    if scenario.resource == IMAGES:
        assert services.operations.run(scenario.request).name
        return
    reconcile(world)
    if scenario.resource == VOLUMES:
        if services.operations.resolver.reader.volume_records.find("vol"):
            services.volumes.delete(VOL, force=True, erase=True)
        for name in world.volumes.names("vol"):  # older versions of an erased family are their owner's
            services.volumes.delete(parse(name), force=True, erase=False)
        assert services.volumes.create("vol", "3MB").record.name == "vol-0"
        return
    if services.operations.resolver.reader.records.find("foo"):
        services.containers.delete(FOO, force=True, erase=True)
    for name in [name for name in world.containers() if name.startswith("foo-")]:
        services.containers.delete(parse(name), force=True, erase=True)
    world.engine.containers = {i: c for i, c in world.engine.containers.items() if c.name != "old"}
    assert services.containers.create("foo", spec(gpu_count=8)).name == "foo-0"


def stuck_in(world: World) -> Operation:
    (found,) = world.services.operations.resolver.reader.operations.all_running()
    return found


def test_every_kind_of_operation_has_a_scenario() -> None:
    kinds = make_world().services.operations.resolver.registry.kinds
    assert {(scenario.resource, scenario.kind) for scenario in SCENARIOS} == kinds.keys()


@pytest.mark.parametrize("resolution", Resolution)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_way_out_does_what_it_says_wherever_the_operation_broke(scenario: Scenario, resolution: Resolution) -> None:
    points = 0
    for world in break_points(scenario, make_world):
        points += 1
        resolver, operation = world.services.operations.resolver, stuck_in(world)
        assert (operation.resource, operation.kind) == (scenario.resource, scenario.kind)
        ways = resolver.ways_out(operation.id)
        assert set(ways) == set(Resolution) and any(way.refusal is None for way in ways.values())
        before, way = estate(world), ways[resolution]
        if way.refusal:
            check_refused(world, operation, resolution, way)
            continue
        assert way.effects and all(isinstance(effect, Text) for effect in way.effects)
        view = resolver.resolve(operation.id, resolution)
        check_effects(before, estate(world), list(way.effects))
        assert world.stored(OPERATIONS) == [] and view.state in (State.DONE, State.UNDONE)
        assert view.operation.stuck is None and world.services.operations.queries.one(operation.id) == view
        if view.state == State.UNDONE:
            assert str(resolution) in str(view.error) and WHY in str(view.error)
        check_nothing_is_held(world)
        check_usable(world, scenario)
    assert points > 1


def check_refused(world: World, operation: Operation, resolution: Resolution, way: WayOut) -> None:
    before = world.store.list("/")
    with pytest.raises(errors.NotResolvable) as caught:
        world.services.operations.resolver.resolve(operation.id, resolution)
    assert caught.value.message == way.refusal and world.store.list("/") == before


@pytest.fixture
def foo(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world with a container, where nobody waits between tries to recover, nor for tracebacks to be printed."""
    monkeypatch.setattr(journal, "_RETRY", 0.0)
    monkeypatch.setattr(journal, "_LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(journal, "_start_patiently", journal._do_patiently)
    world.services.containers.create("foo", spec(gpu_count=2))
    with capture_logs():
        yield world


def refuse_name(*_: Any) -> Any:
    raise errors.InvalidRequest(Text("{name} cannot be an image's name", name="'A B'"))


def fail_commit(world: World) -> str:
    """Commit foo to a name that Docker never accepts; the id of the operation."""
    world.engine.commit = world.engine.name_commit = refuse_name  # type: ignore[method-assign,assignment]
    with pytest.raises(errors.InvalidRequest):
        world.services.operations.run(CommitContainer(FOO, "saved"))
    return stuck_in(world).id


CHANGES: tuple[Callable[[World], object], ...] = (
    lambda world: world.services.containers.stop(FOO),
    lambda world: world.services.containers.restart(FOO),
    lambda world: world.services.containers.delete(FOO, force=True, erase=True),
    lambda world: world.services.containers.create("foo", spec()),
)


def test_a_recovery_that_keeps_failing_ends_as_stuck_and_says_so_to_everybody(foo: World) -> None:
    identity = fail_commit(foo)
    view = foo.services.operations.queries.one(identity)
    assert (view.state, view.operation.tries, view.ended) == (State.STUCK, MAX_TRIES, None)
    assert view.error == "'A B' cannot be an image's name" and isinstance(view.error, Text)
    assert foo.services.operations.queries.all(state="stuck").operations == (view,)
    assert foo.services.operations.queries.all(state="running").operations == ()
    for change in CHANGES:
        with pytest.raises(errors.OperationStuck) as caught:
            change(foo)
        assert caught.value.code == 2120 and identity in caught.value.message
        assert "foo is blocked by an operation (commit)" in caught.value.message
    with pytest.raises(errors.NotCancellable):
        foo.services.operations.queries.cancel(identity)
    with pytest.raises(errors.InvalidRequest):  # the way that fails again leaves it as it is
        foo.services.operations.resolver.resolve(identity, Resolution.FINISH)
    assert foo.services.operations.queries.one(identity) == view_again(foo, view)
    assert foo.services.operations.resolver.resolve(identity, Resolution.UNDO).state == State.UNDONE
    foo.services.containers.stop(FOO)


def view_again(world: World, view: OperationView) -> OperationView:
    """A view as it is after a try to resolve it, which takes steps."""
    steps = stuck_in(world).steps
    assert steps[: len(view.operation.steps)] == view.operation.steps
    return replace(view, operation=replace(view.operation, steps=steps, step=steps[-1][0]))


def test_a_docker_that_is_down_makes_nothing_stuck(foo: World) -> None:
    down, calls = errors.Unavailable("docker", "Docker does not answer"), iter(range(3 * MAX_TRIES))

    def name_commit(*_: Any) -> bool:
        if next(calls, None) is None:
            return False
        raise down

    foo.engine.name_commit = name_commit  # type: ignore[method-assign,assignment]
    foo.engine.fail_next["commit"] = down
    with pytest.raises(errors.Unavailable):
        foo.services.operations.run(CommitContainer(FOO, "saved"))
    (view,) = foo.services.operations.queries.all(state="undone").operations
    assert (view.operation.tries, next(calls, None)) == (0, None)


def test_a_defect_ends_as_stuck_too(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise KeyError("nobody thought of that")

    monkeypatch.setattr(Commit, "recover", defect)
    foo.engine.fail_next["commit"] = errors.OperationFailed("it failed")
    with pytest.raises(errors.OperationFailed):
        foo.services.operations.run(CommitContainer(FOO, "saved"))
    assert stuck_in(foo).stuck == "'nobody thought of that'"


def test_tries_are_counted_whoever_makes_them(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_start_patiently", lambda *_: None)  # each process dies after one try
    identity = fail_commit(foo)
    for tries in range(1, MAX_TRIES):
        assert (stuck_in(foo).id, stuck_in(foo).tries, stuck_in(foo).stuck) == (identity, tries, None)
        foo.host.alive = {f"process-{tries}"}
        monkeypatch.setattr(foo.host, "own_token", lambda token=f"process-{tries}": token)
        assert foo.services.operations.journal.recover_orphans() == 1
    assert (stuck_in(foo).tries, stuck_in(foo).stuck) == (MAX_TRIES, "'A B' cannot be an image's name")
    foo.host.alive = {"the-next-process"}
    assert foo.services.operations.journal.recover_orphans() == 0


def test_an_orphan_is_recovered_though_nobody_knows_if_it_was_taken_over(foo: World) -> None:
    stuck_commit(foo.services, foo.store)
    (entry,) = foo.store.list(OPERATIONS)
    foo.store.transact({}, [Put(entry.key, {**entry.value, "stuck": None, "owner": "a-dead-process"})])
    foo.store.fail_next("unknown-applied")
    with pytest.raises(errors.OutcomeUnknown):
        foo.services.operations.journal.recover_orphans()
    assert foo.stored(OPERATIONS) == []


def test_a_start_that_docker_refuses_for_a_port_does_not_get_stuck(foo: World) -> None:
    foo.services.containers.create("bar", spec(ports=(PortMapping(40001, 80),)))
    stop = foo.engine.stop

    def stop_and_lose_the_port(ref: str) -> None:
        stop(ref)
        foo.engine.busy_ports.add(40001)

    foo.engine.stop = stop_and_lose_the_port  # type: ignore[method-assign]
    with pytest.raises(errors.PortTaken):
        foo.services.containers.restart(Name("bar"))
    assert foo.stored(OPERATIONS) == []


def stuck_change(world: World) -> tuple[str, Estate]:
    """A change of foo's GPUs that broke after its container was created, and is stuck; its id, and what there is."""
    change = Scenario("containers", Kind.GPU, "gpu", lambda _: None, ChangeGpus(FOO, 4))
    assert break_after(world, change, 4) and "foo-1" in world.containers()
    return stick(world.store).id, estate(world)


FAILURES: tuple[Exception, ...] = (
    errors.OperationFailed("Docker cannot remove it"),
    errors.Unavailable("docker", "Docker does not answer"),
    KeyError("nobody thought of that"),
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("etcd_fails", [False, True])
def test_a_resolution_that_fails_leaves_it_as_stuck_and_may_be_repeated(
    foo: World, failure: Exception, etcd_fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, before = stuck_change(foo)
    remove = foo.engine.remove

    def fail(_: str) -> None:
        monkeypatch.setattr(foo.engine, "remove", remove)
        if etcd_fails:
            foo.store.fail_next("unavailable")
        raise failure

    monkeypatch.setattr(foo.engine, "remove", fail)
    with pytest.raises(type(failure)):
        foo.services.operations.resolver.resolve(identity, Resolution.UNDO)
    assert (stuck_in(foo).stuck, estate(foo)) == (WHY, before)
    assert foo.services.operations.resolver.resolve(identity, Resolution.UNDO).state == State.UNDONE
    assert foo.containers() == {"foo-0": "running"} and len(foo.in_use()) == 2


@pytest.mark.parametrize("fault", ["unknown-applied", "unknown-lost"])
def test_a_resolution_of_which_etcd_does_not_tell_whether_it_began_leaves_it_as_stuck(foo: World, fault: Fault) -> None:
    identity, before = stuck_change(foo)
    foo.store.fail_next(fault)
    with pytest.raises(errors.OutcomeUnknown):
        foo.services.operations.resolver.resolve(identity, Resolution.UNDO)
    assert (stuck_in(foo).stuck, estate(foo)) == (WHY, before)


def test_what_cannot_be_tidied_up_after_the_end_does_not_matter(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, _ = stuck_change(foo)

    def fail(*_: object) -> bool:
        raise errors.OperationFailed("Docker cannot let go of it")

    monkeypatch.setattr(Undo, "release_image", fail)
    assert foo.services.operations.resolver.resolve(identity, Resolution.UNDO).state == State.UNDONE


def test_of_two_who_resolve_it_at_once_one_does(foo: World) -> None:
    identity, _ = stuck_change(foo)
    resolver, remove, refusals = foo.services.operations.resolver, foo.engine.remove, []

    def meanwhile(ref: str) -> None:
        with pytest.raises(errors.NotResolvable) as caught:
            resolver.resolve(identity, Resolution.FORGET)
        refusals.append(caught.value.message)
        remove(ref)

    foo.engine.remove = meanwhile  # type: ignore[method-assign]
    assert resolver.resolve(identity, Resolution.UNDO).state == State.UNDONE
    assert len(refusals) == 1 and "not stuck" in refusals[0]


def test_who_looked_at_the_same_moment_is_told_that_another_one_resolves_it(
    foo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, _ = stuck_change(foo)
    resolver = foo.services.operations.resolver
    monkeypatch.setattr(foo.services.operations.journal, "_take", lambda *_: None)
    with pytest.raises(errors.Conflict, match="somebody else"):
        resolver.resolve(identity, Resolution.UNDO)


def test_whoever_dies_while_resolving_leaves_it_to_others(foo: World) -> None:
    identity, _ = stuck_change(foo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foo.services.operations.journal, "_stick_again", lambda *_: True)
        patch.setattr(foo.engine, "remove", refuse_name)
        with pytest.raises(errors.InvalidRequest):
            foo.services.operations.resolver.resolve(identity, Resolution.UNDO)
    foo.host.alive = set()
    assert stuck_in(foo).stuck is None and foo.services.operations.journal.recover_orphans() == 1
    assert foo.stored(OPERATIONS) == []


def test_the_agent_leaves_a_stuck_operation_and_its_family_alone(foo: World) -> None:
    identity, _ = stuck_change(foo)
    foo.host.alive = set()
    next(iter(foo.engine.containers.values())).end(137)
    before = estate(foo)
    assert foo.services.agent.reconciler.rehearse() == []
    reconcile(foo)
    assert estate(foo) == before and stuck_in(foo).id == identity
    foo.services.operations.resolver.resolve(identity, Resolution.FORGET)
    reconcile(foo)
    assert foo.containers() == {"foo-0": "running"}


def test_what_is_no_stuck_operation_is_not_resolved(foo: World) -> None:
    resolver = foo.services.operations.resolver
    with pytest.raises(errors.OperationNotFound):
        resolver.ways_out("nothing")
    (view,) = foo.services.operations.queries.all().operations
    with pytest.raises(errors.NotResolvable, match="done already"):
        resolver.ways_out(view.operation.id)
    identity, _ = stuck_change(foo)
    (entry,) = foo.store.list(OPERATIONS)
    foo.store.transact({}, [Put(entry.key, {**entry.value, "stuck": None})])
    with pytest.raises(errors.NotResolvable, match="not stuck"):
        resolver.resolve(identity, Resolution.UNDO)


def test_files_that_were_set_aside_are_not_lost_by_forgetting_the_deletion() -> None:
    (delete,) = [scenario for scenario in SCENARIOS if str(scenario) == "containers-delete"]
    world = next(world for world in break_points(delete, make_world) if stuck_in(world).layer)
    resolver, identity = world.services.operations.resolver, stuck_in(world).id
    effects = resolver.effects(identity, Resolution.FORGET)
    assert "keeps the record of foo-0 as deleted, and its files for the next version" in effects
    resolver.resolve(identity, Resolution.FORGET)
    assert world.containers() == {"foo-0": "exited"} and world.in_use() == set()
    assert world.services.containers.restart(FOO).name == "foo-1"
    assert world.files("foo-1") == {"vim": "installed"}


def test_what_this_gpudock_does_not_understand_can_only_be_forgotten(foo: World) -> None:
    identity, _ = stuck_change(foo)
    (entry,) = foo.store.list(OPERATIONS)
    foo.store.transact({}, [Put(entry.key, {**entry.value, "kind": Kind.STOP_STRAY})])
    resolver, made = foo.services.operations.resolver, next(reversed(foo.engine.containers.values()))
    ways = resolver.ways_out(identity)
    assert ways[Resolution.UNDO].refusal and ways[Resolution.FINISH].refusal
    made.state = "running"
    assert "foo-1 runs" in str(resolver.ways_out(identity)[Resolution.FORGET].refusal)
    made.state = "exited"
    before, effects = estate(foo), resolver.effects(identity, Resolution.FORGET)
    resolver.resolve(identity, Resolution.FORGET)
    check_effects(before, estate(foo), list(effects))
    assert len(foo.in_use()) == 2


def test_what_a_node_that_is_gone_left_can_be_forgotten_elsewhere(foo: World) -> None:
    identity, before = stuck_change(foo)
    other = make_world(replace(CONFIG, node="other"), foo.store)
    resolver, view = other.services.operations.resolver, foo.services.operations.queries.one(identity)
    assert foo.services.agent.reconciler.leadership.acquire()
    foo.services.agent.presence.beat("http://test-node.test")
    assert resolver.waits(view)  # it is stuck, but its node is asked
    with pytest.raises(errors.OnAnotherNode) as caught:
        resolver.ways_out(identity)
    assert caught.value.node == "test-node"
    foo.store.transact({}, [Delete(agent_key("test-node"))])
    for resolution in (Resolution.FINISH, Resolution.UNDO):
        with pytest.raises(errors.NotResolvable, match="does not answer"):
            resolver.resolve(identity, resolution)
    effects = resolver.effects(identity, Resolution.FORGET)
    assert "gone for good" in effects[0]
    view = resolver.resolve(identity, Resolution.FORGET)
    assert (view.state, view.operation.node) == (State.UNDONE, "test-node")
    check_effects(before, estate(foo), list(effects))
    reconcile(foo)  # the node is back
    assert foo.containers() == {"foo-0": "running"}


def test_an_operation_that_runs_on_a_node_that_is_gone_can_be_forgotten_elsewhere(foo: World) -> None:
    identity, _ = stuck_change(foo)
    (entry,) = foo.store.list(OPERATIONS)
    foo.store.transact({}, [Put(entry.key, {**entry.value, "stuck": None})])
    other = make_world(replace(CONFIG, node="other"), foo.store)
    assert other.services.operations.resolver.waits(foo.services.operations.queries.one(identity))
    assert not foo.services.operations.resolver.waits(foo.services.operations.queries.one(identity))
    assert other.services.operations.resolver.resolve(identity, Resolution.FORGET).state == State.UNDONE
    assert foo.stored(OPERATIONS) == [] and len(foo.in_use()) == 2


def holders(world: World) -> dict[str, str]:
    """The families that hold GPUs, by UUID."""
    found = world.services.operations.resolver.reader.records.gpu_holders()
    return {uuid: holder.family for uuid, holder in found.items()}


@pytest.mark.parametrize("resolution", [Resolution.UNDO, Resolution.FORGET])
def test_what_another_family_has_had_since_stays_its_own(foo: World, resolution: Resolution) -> None:
    identity, _ = stuck_change(foo)
    lost = stuck_in(foo).gpus
    assert lost
    foo.store.transact({}, [Delete(f"{GPUS}test-node/{uuid}") for uuid in lost])
    foo.services.containers.create("bar", spec(gpu_count=6))
    held = {uuid: holder for uuid, holder in holders(foo).items() if holder == "bar"}
    assert set(lost) & set(held)
    effects = foo.services.operations.resolver.effects(identity, resolution)
    assert not [told for told in effects if any(uuid in told for uuid in held)]
    foo.services.operations.resolver.resolve(identity, resolution)
    assert {uuid: holder for uuid, holder in holders(foo).items() if holder == "bar"} == held


@pytest.mark.parametrize("kind", ["teleport", Kind.GPU])
def test_an_operation_frees_only_what_it_claimed_itself(foo: World, kind: str) -> None:
    before = holders(foo)
    identity, _ = stuck_change(foo)
    (entry,) = foo.store.list(OPERATIONS)
    every = [*before, *entry.value["gpus"]]
    foo.store.transact({}, [Put(entry.key, {**entry.value, "kind": kind, "gpus": every})])
    foo.services.operations.resolver.resolve(identity, Resolution.FORGET)
    assert holders(foo) == before
