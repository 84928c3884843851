"""GPUs out of service: what takes them out and returns them, who gets them, and containers that lost theirs inside."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app import errors
from app.gpus.health import WELL_PASSES
from app.model.container import ExecResult
from app.model.gpu import GpuEvent, GpuProcess
from app.model.gpu_health import ABSENT, APPLICATION_XIDS, DRAINED
from app.model.names import parse
from app.model.operation import now
from app.ports import Put
from app.state.keys import FAULTS
from tests.support.fake_engine import FakeContainer
from tests.support.world import CONFIG, FaultyInventory, World, make_world, spec

LOST = {"fault": "GPU is lost"}
NO_NVML = "Failed to initialize NVML: Unknown Error\n"


@pytest.fixture
def uuids(world: World) -> list[str]:
    return list(world.inventory.uuids())


@pytest.fixture
def happen(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the inventory tell an XID error of a GPU, once."""
    waiting: list[GpuEvent] = []

    def tell(self: FaultyInventory) -> list[GpuEvent]:
        told = list(waiting)
        waiting.clear()
        return told

    monkeypatch.setattr(FaultyInventory, "events", tell)
    return lambda uuid, xid, moment="2026-01-02T03:04:05.678+00:00": waiting.append(GpuEvent(uuid, xid, moment))


@pytest.fixture
def gone(world: World, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """UUIDs that the inventory does not list any more."""
    missing: set[str] = set()
    whole = FaultyInventory.gpus
    monkeypatch.setattr(FaultyInventory, "gpus", lambda self: [g for g in whole(self) if g.uuid not in missing])
    return missing


def check(world: World, passes: int = 1) -> list[str]:
    return [sentence for _ in range(passes) for sentence in world.services.gpu.health.check()]


def stored(world: World) -> dict[str, dict[str, object]]:
    prefix = "/health/test-node/"
    return {entry.key.removeprefix(prefix): entry.value for entry in world.store.list(prefix)}


def drain(world: World, *uuids: str) -> None:
    for uuid in uuids:
        assert world.services.gpus.schedule(uuid, False)[1]


def held(world: World, family: str) -> set[str]:
    return set(world.services.containers.records.claims().gpus_of(family))


# An operator


def test_a_drained_gpu_is_not_given_out_until_it_is_returned(world: World, uuids: list[str]) -> None:
    drain(world, *uuids[1:])
    world.services.containers.create("foo", spec(gpu_count=1))
    assert held(world, "foo") == {uuids[0]}
    with pytest.raises(errors.NotEnoughGpus) as caught:
        world.services.containers.create("bar", spec(gpu_count=1))
    assert caught.value.data == {"requested": 1, "free": 0, "total": 8}
    world.services.gpus.schedule(uuids[5], True)
    world.services.containers.create("bar", spec(gpu_count=1))
    assert held(world, "bar") == {uuids[5]}


def test_the_record_says_who_what_and_when_and_goes_when_the_gpu_is_back(world: World, uuids: list[str]) -> None:
    before = now()
    drain(world, uuids[3])
    (record,) = stored(world).values()
    since = str(record.pop("since"))
    assert before <= since <= now()
    assert record == {
        "schema": 1, "schedulable": False, "fault": None, "code": None, "by": "operator", "index": 3
    }  # fmt: skip
    view, changed = world.services.gpus.schedule(uuids[3], True)
    assert changed and view.free and stored(world) == {}


def test_saying_the_same_again_changes_nothing(world: World, uuids: list[str]) -> None:
    assert not world.services.gpus.schedule(uuids[0], True)[1]
    drain(world, uuids[0])
    before = stored(world)
    view, changed = world.services.gpus.schedule(uuids[0], False)
    assert not changed and not view.schedulable and stored(world) == before


def test_an_unknown_gpu_is_not_found_and_leaves_no_record(world: World) -> None:
    with pytest.raises(errors.GpuNotFound):
        world.services.gpus.schedule("GPU-nope", False)
    assert stored(world) == {}


def test_nobody_is_stopped_and_only_a_change_gives_the_container_another(world: World, uuids: list[str]) -> None:
    world.services.containers.create("foo", spec(gpu_count=2))
    first, second = sorted(held(world, "foo"))
    drain(world, first)
    assert world.containers() == {"foo-0": "running"} and held(world, "foo") == {first, second}
    view = world.services.gpus.one(first)
    assert view.reason == DRAINED and view.advice and "foo keeps it until it is changed" in view.advice
    world.services.containers.restart(parse("foo"))
    assert held(world, "foo") == {first, second}
    world.services.containers.change_gpus(parse("foo"), 3)
    assert first not in held(world, "foo") and second in held(world, "foo") and len(held(world, "foo")) == 3
    assert not world.services.gpus.one(first).free


def test_a_change_is_refused_if_a_drained_gpu_cannot_be_replaced(world: World, uuids: list[str]) -> None:
    world.services.containers.create("foo", spec(gpu_count=8))
    drain(world, uuids[0])
    world.services.containers.stop(parse("foo"))
    with pytest.raises(errors.NotEnoughGpus):
        world.services.containers.restart(parse("foo"))
    assert not held(world, "foo") and list(world.containers()) == ["foo-0"]


def test_a_gpu_that_is_drained_while_a_create_chooses_it_is_not_taken(
    world: World, uuids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drain(world, *uuids[2:])
    transact, drained = world.store.transact, [f"/health/test-node/{uuids[0]}"]

    def late(expected: dict[str, int], writes: list[Put]) -> int | None:
        if "/operations/containers/foo" in expected and drained:
            transact({}, [Put(drained.pop(), {"schema": 1, "since": now(), "index": 0, "schedulable": False})])
        return transact(expected, writes)

    monkeypatch.setattr(world.store, "transact", late)
    with pytest.raises(errors.NotEnoughGpus):
        world.services.containers.create("foo", spec(gpu_count=2))
    assert not held(world, "foo")


def test_a_rival_s_write_is_not_overwritten(world: World, uuids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of the rival is kept by the drain that came second."""
    key = f"/health/test-node/{uuids[0]}"
    transact, rival = world.store.transact, {"schema": 1, "since": now(), "index": 0, "fault": "burnt", "by": "gpudock"}

    def late(expected: dict[str, int], writes: list[Put]) -> int | None:
        if key in expected and rival:
            transact({}, [Put(key, dict(rival))])
            rival.clear()
        return transact(expected, writes)

    monkeypatch.setattr(world.store, "transact", late)
    view, changed = world.services.gpus.schedule(uuids[0], False)
    assert changed and view.reason == f"burnt; {DRAINED}"
    assert (stored(world)[uuids[0]]["fault"], stored(world)[uuids[0]]["schedulable"]) == ("burnt", False)


def test_rivals_that_never_stop_are_told_of(world: World, uuids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    drain(world, uuids[0])
    monkeypatch.setattr(world.store, "transact", lambda expected, writes: None)
    with pytest.raises(errors.GpuContended):
        world.services.gpus.schedule(uuids[0], True)


def test_another_node_s_records_are_its_own(world: World, uuids: list[str]) -> None:
    world.store.transact({}, [Put(f"/health/other/{uuids[0]}", {"since": now(), "index": 0, "schedulable": False})])
    assert check(world) == [] and world.services.gpus.one(uuids[0]).free


# Faults


def test_a_healthy_node_is_left_alone(world: World) -> None:
    assert check(world, 10) == [] and stored(world) == {}


def test_a_faulty_gpu_is_taken_out_and_returns_after_enough_good_passes_in_a_row(
    world: World, uuids: list[str]
) -> None:
    world.inventory.changes = {2: LOST}
    assert check(world, 3) == [f"GPU {uuids[2]} is taken out of service: GPU is lost"]
    assert stored(world)[uuids[2]]["by"] == "gpudock" and stored(world)[uuids[2]]["code"] is None
    world.inventory.changes = {}
    assert check(world, WELL_PASSES - 1) == []
    view = world.services.gpus.one(uuids[2])
    assert not view.free and view.fault == "GPU is lost" and view.schedulable
    world.inventory.changes = {2: LOST}
    assert check(world) == []
    world.inventory.changes = {}
    assert check(world, WELL_PASSES - 1) == []
    assert check(world) == [f"GPU {uuids[2]} answers again and is back in service"]
    assert stored(world) == {} and world.services.gpus.one(uuids[2]).free


def test_an_unknown_inventory_takes_nothing_out_and_breaks_the_row_of_good_passes(
    world: World, uuids: list[str]
) -> None:
    world.inventory.changes = {2: LOST}
    check(world)
    world.inventory.changes = {}
    check(world, WELL_PASSES - 1)
    world.inventory.error = errors.Unavailable("nvml", "the driver hangs")
    assert check(world) == [] and list(stored(world)) == [uuids[2]]
    world.inventory.error = None
    assert check(world) == [] and list(stored(world)) == [uuids[2]]


def test_a_gpu_that_vanishes_is_taken_out_stays_visible_and_returns(
    world: World, uuids: list[str], gone: set[str]
) -> None:
    check(world)
    gone.add(uuids[4])
    assert check(world, 2) == [f"GPU {uuids[4]} is taken out of service: {ABSENT}"]
    shown = world.services.gpus.all()
    assert [view.gpu.index for view in shown] == list(range(8))
    assert shown[4].reason == ABSENT and shown[4].gpu.uuid == uuids[4]
    assert world.services.gpus.status()[uuids[4]] == 1
    gone.clear()
    assert check(world, WELL_PASSES) == [f"GPU {uuids[4]} answers again and is back in service"]
    gone.add(uuids[4])
    assert check(world) == [f"GPU {uuids[4]} is taken out of service: {ABSENT}"]


def test_a_gpu_that_this_process_never_saw_is_not_missed(world: World, uuids: list[str], gone: set[str]) -> None:
    gone.add(uuids[4])
    assert check(world, 3) == [] and stored(world) == {}


def test_a_gpu_that_was_removed_for_good_is_forgotten_when_it_is_returned(
    world: World, uuids: list[str], gone: set[str]
) -> None:
    check(world)
    gone.add(uuids[4])
    check(world, 2)
    assert world.services.gpus.schedule(uuids[4], True)[1]
    assert check(world, 5) == [] and stored(world) == {}
    assert len(world.services.gpus.all()) == 7
    gone.clear()
    check(world)
    gone.add(uuids[4])
    assert len(check(world)) == 1


@pytest.mark.parametrize("xid", [48, 63, 64, 74, 79, 94, 95, 999])
def test_a_grave_xid_takes_a_gpu_out_and_only_an_operator_returns_it(
    world: World, uuids: list[str], happen: Callable[..., None], xid: int
) -> None:
    happen(uuids[1], xid)
    (sentence,) = check(world)
    assert sentence.startswith(f"GPU {uuids[1]} is taken out of service: XID {xid}: ")
    record = stored(world)[uuids[1]]
    assert (record["code"], record["by"], record["since"]) == (xid, "gpudock", "2026-01-02T03:04:05.678+00:00")
    assert check(world, 3 * WELL_PASSES) == []
    view = world.services.gpus.one(uuids[1])
    assert view.advice and "--gpu-reset" in view.advice and "return it to service" in view.advice
    view, changed = world.services.gpus.schedule(uuids[1], True)
    assert changed and view.free and check(world, 2) == [] and stored(world) == {}


@pytest.mark.parametrize("xid", sorted(APPLICATION_XIDS))
def test_an_application_s_xid_does_not(world: World, uuids: list[str], happen: Callable[..., None], xid: int) -> None:
    happen(uuids[1], xid)
    assert check(world) == [] and stored(world) == {}
    assert xid in (13, 31, 43, 45, 68, 109)


def test_an_xid_replaces_a_passing_fault_and_is_not_replaced_by_one(
    world: World, uuids: list[str], happen: Callable[..., None]
) -> None:
    world.inventory.changes = {1: LOST}
    check(world)
    since = stored(world)[uuids[1]]["since"]
    happen(uuids[1], 79)
    assert len(check(world)) == 1
    assert (stored(world)[uuids[1]]["code"], stored(world)[uuids[1]]["since"]) == (79, since)
    happen(uuids[1], 48)
    assert check(world, 2) == [] and stored(world)[uuids[1]]["code"] == 79
    assert world.services.gpus.one(uuids[1]).fault == "XID 79: it has fallen off the bus"


def test_an_xid_of_a_gpu_that_is_not_here_is_ignored(world: World, happen: Callable[..., None]) -> None:
    happen("GPU-elsewhere", 79)
    assert check(world, 2) == [] and stored(world) == {}


def test_an_event_is_not_lost_when_etcd_is_away(world: World, uuids: list[str], happen: Callable[..., None]) -> None:
    for kind, skip in (("unavailable", 0), ("unknown-lost", 0)):
        happen(uuids[1], 79)
        world.store.fail_next(kind, skip)
        with pytest.raises(errors.Unavailable):
            check(world)
        assert stored(world) == {}
        assert len(check(world)) == 1
        world.services.gpus.schedule(uuids[1], True)


def test_a_fault_that_is_still_there_takes_a_returned_gpu_out_again(world: World, uuids: list[str]) -> None:
    world.inventory.changes = {1: LOST}
    check(world)
    view, changed = world.services.gpus.schedule(uuids[1], True)
    assert changed and not view.free
    assert len(check(world)) == 1 and list(stored(world)) == [uuids[1]]


def test_a_drained_gpu_that_fails_and_recovers_stays_drained(world: World, uuids: list[str]) -> None:
    drain(world, uuids[1])
    world.inventory.changes = {1: LOST}
    check(world)
    assert world.services.gpus.one(uuids[1]).reason == f"GPU is lost; {DRAINED}"
    world.inventory.changes = {}
    assert check(world, WELL_PASSES) == [f"GPU {uuids[1]} answers again and is kept out by an operator"]
    assert stored(world)[uuids[1]]["by"] == "operator" and stored(world)[uuids[1]]["fault"] is None
    assert world.services.gpus.one(uuids[1]).reason == DRAINED


def test_a_gpu_with_a_recorded_fault_is_not_given_out_though_it_answers(
    world: World, uuids: list[str], happen: Callable[..., None]
) -> None:
    for uuid in uuids[1:]:
        happen(uuid, 95)
    check(world)
    world.services.containers.create("foo", spec(gpu_count=1))
    assert held(world, "foo") == {uuids[0]}
    with pytest.raises(errors.NotEnoughGpus):
        world.services.containers.change_gpus(parse("foo"), 2)


def test_foreign_use_has_a_reason_and_advice_and_is_no_matter_of_health(world: World, uuids: list[str]) -> None:
    world.inventory.changes = {1: {"processes": (GpuProcess(4242, None, None),)}}
    view = world.services.gpus.one(uuids[1])
    assert view.fault is None and view.schedulable and not view.free and view.reason and "4242" in view.reason
    assert view.advice and check(world) == []


def test_a_gpu_in_service_has_no_reason_advice_or_time(world: World, uuids: list[str]) -> None:
    view = world.services.gpus.one(uuids[0])
    assert (view.reason, view.advice, view.since, view.schedulable, view.fault) == (None, None, None, True, None)


# Inside containers


def smi(world: World, output: str, exit_code: int | None = 0, timed_out: bool = False) -> None:
    world.engine.commands["nvidia-smi"] = lambda container, cmd: ExecResult(output, "", exit_code, False, timed_out)


def listing(container: FakeContainer, missing: int = 0) -> ExecResult:
    gpus = container.plan.gpus if container.plan else ()
    lines = [f"GPU {i}: NVIDIA A100 (UUID: {uuid})\n" for i, uuid in enumerate(gpus[missing:])]
    return ExecResult("".join(lines), "", 0, False)


def look(world: World) -> list[str]:
    return world.services.gpu.health.look_inside()


@pytest.fixture
def foo(world: World) -> World:
    """A world with foo-0, which runs and holds two GPUs, and plain-0, which holds none."""
    world.services.containers.create("foo", spec(gpu_count=2))
    world.services.containers.create("plain", spec())
    return world


def test_a_container_that_sees_its_gpus_is_well(foo: World) -> None:
    foo.engine.commands["nvidia-smi"] = lambda container, cmd: listing(container)
    assert look(foo) == [] and foo.services.gpu.health.faults_inside() == {}


def test_a_container_whose_nvml_fails_is_flagged_once_and_cleared_when_it_is_well(foo: World) -> None:
    smi(foo, NO_NVML, 255)
    assert look(foo) == [f"foo-0 has lost its GPUs: nvidia-smi in it says: {NO_NVML.strip()}"]
    assert look(foo) == []
    assert foo.services.gpu.health.faults_inside() == {"foo": f"nvidia-smi in it says: {NO_NVML.strip()}"}
    (entry,) = foo.store.list(FAULTS)
    assert entry.key == "/faults/containers/foo" and entry.value["version"] == 0 and entry.value["schema"] == 1
    foo.engine.commands["nvidia-smi"] = lambda container, cmd: listing(container)
    assert look(foo) == ["foo-0, which had lost its GPUs, has its GPUs again"]
    assert foo.services.gpu.health.faults_inside() == {} and foo.store.list(FAULTS) == []


def test_a_container_that_sees_fewer_gpus_than_it_holds_is_flagged(foo: World) -> None:
    foo.engine.commands["nvidia-smi"] = lambda container, cmd: listing(container, missing=1)
    (sentence,) = look(foo)
    (missing,) = [uuid for uuid in held(foo, "foo") if uuid in sentence]
    assert foo.services.gpu.health.faults_inside() == {"foo": f"nvidia-smi in it does not show {missing}"}


def test_no_nvidia_smi_and_no_answer_say_nothing_and_change_nothing(foo: World) -> None:
    smi(foo, NO_NVML, 255)
    look(foo)
    known = foo.store.list(FAULTS)
    del foo.engine.commands["nvidia-smi"]
    assert look(foo) == []
    for output, exit_code, timed_out in (
        ("not found", 127, False),
        ("denied", 126, False),
        ("", None, True),
        ("a flood", None, False),
    ):
        smi(foo, output, exit_code, timed_out)
        assert look(foo) == []
    assert foo.store.list(FAULTS) == known


def test_docker_s_silence_about_one_container_does_not_hide_the_others(foo: World) -> None:
    foo.services.containers.create("bar", spec(gpu_count=1))
    smi(foo, NO_NVML, 255)
    foo.engine.fail_next["execute"] = errors.Unavailable("docker", "slow")
    assert len(look(foo)) == 1
    assert len(look(foo)) == 1
    assert set(foo.services.gpu.health.faults_inside()) == {"foo", "bar"}


def test_a_flag_goes_with_its_version(foo: World) -> None:
    smi(foo, NO_NVML, 255)
    look(foo)
    foo.services.containers.change_gpus(parse("foo"), 1)
    assert foo.services.gpu.health.faults_inside() == {}
    del foo.engine.commands["nvidia-smi"]
    assert look(foo) == ["foo-0, which had lost its GPUs, was replaced"] and foo.store.list(FAULTS) == []


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_a_flag_goes_when_the_container_does_not_run_any_more(foo: World, end: str) -> None:
    smi(foo, NO_NVML, 255)
    look(foo)
    if end == "stop":
        foo.services.containers.stop(parse("foo"))
    else:
        foo.services.containers.delete(parse("foo"), force=True, erase=True)
        assert foo.services.gpu.health.faults_inside() == {}
    assert look(foo) == ["foo-0, which had lost its GPUs, does not run any more"]
    assert foo.services.gpu.health.faults_inside() == {} and foo.store.list(FAULTS) == []


def test_containers_without_gpus_stopped_or_of_another_node_are_not_asked(foo: World) -> None:
    asked: list[str] = []
    smi(foo, NO_NVML, 255)
    look(foo)
    other = make_world(replace(CONFIG, node="other-node"))
    other.store._data, other.store._revision = foo.store._data, foo.store._revision
    assert look(other) == [] and len(other.store.list(FAULTS)) == 1
    foo.services.containers.create("idle", spec(gpu_count=1))
    foo.services.containers.stop(parse("idle"))
    foo.engine.commands["nvidia-smi"] = lambda container, cmd: (asked.append(container.name), listing(container))[1]
    look(foo)
    assert asked == ["foo-0"]


def test_what_a_container_prints_is_cut_and_cleaned(foo: World) -> None:
    smi(foo, f"\x1b[31mFailed to initialize NVML{'x' * 9000}\x07\nmore\n", 255)
    look(foo)
    reason = foo.services.gpu.health.faults_inside()["foo"]
    assert reason.isprintable() and len(reason) < 250 and "more" not in reason


def test_without_docker_no_flag_is_touched(foo: World) -> None:
    smi(foo, NO_NVML, 255)
    look(foo)
    foo.engine.fail_next["list"] = errors.Unavailable("docker", "down")
    with pytest.raises(errors.Unavailable):
        look(foo)
    assert len(foo.store.list(FAULTS)) == 1
