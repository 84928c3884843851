"""What people are told can be said in their language also after it went through etcd; what is there already is read."""

from dataclasses import replace

import pytest

from app.errors import StartFailed, Unavailable
from app.model.container import ExecResult
from app.model.gpu import Gpu, Holder
from app.model.messages import Text
from app.model.names import Name
from app.ports import Delete, Put
from app.state.keys import FAULTS, HISTORY, agent_key, observed_gpus_key, observed_prefix
from tests.support.world import CONFIG, World, make_world, spec

WHY = Text("{disk} is broken", disk="sda")


def render(text: str | None) -> str:
    """In a language that has every sentence in brackets."""
    assert isinstance(text, Text)
    return text.render(lambda template: f"[{template}]")


@pytest.fixture
def two() -> World:
    """A node that has told how its things are; `one` is its neighbour."""
    return make_world(replace(CONFIG, node="two"))


@pytest.fixture
def one(two: World) -> World:
    return make_world(replace(CONFIG, node="one"), two.store)


def tell(world: World) -> None:
    assert world.services.agent.reconciler.leadership.acquire()
    world.services.agent.presence.report()
    world.services.agent.presence.beat("http://two.test")


def silence(world: World) -> str | None:
    return next(view.node.silence for view in world.services.summary.all() if view.node.name == "two")


def change(world: World, prefix: str, **fields: object) -> None:
    """As an older gpudock would have written it."""
    (entry,) = world.store.list(prefix)
    world.store.transact({}, [Put(entry.key, {**entry.value, **fields})])


def test_why_an_operation_failed(world: World) -> None:
    world.engine.fail_next["start"] = StartFailed(Text("it does not start: {why}", why=WHY))
    with pytest.raises(StartFailed):
        world.services.containers.create("foo", spec())
    (view,) = world.services.operations.queries.all().operations
    assert view.error == "it does not start: sda is broken"
    assert render(view.error) == "[it does not start: [sda is broken]]"
    change(world, HISTORY, error="it does not start")
    assert world.services.operations.queries.one(view.operation.id).error == "it does not start"
    change(world, HISTORY, error=None)
    assert world.services.operations.queries.one(view.operation.id).error is None


def test_what_reconcile_did_and_why(world: World) -> None:
    claims = world.services.containers.records.put_claims(Holder("nobody", 0, "op", "c" * 64), [], [4444])
    world.store.transact({}, claims)
    world.services.agent.reconciler.once()
    (view,) = world.services.operations.queries.all().operations
    assert view.error == "host port 4444: its holder nobody-0 is not on record"
    assert render(view.error) == "[[host port 4444]: [its holder nobody-0 is not on record]]"


def test_the_drift_of_another_node_s_things_and_what_is_left_there(one: World, two: World) -> None:
    for name in ("foo", "bar"):
        two.services.containers.create(name, spec())
    two.services.containers.roll_back(Name("foo"), 0)
    two.services.containers.change_gpus(Name("foo"), 1)
    two.services.containers.delete(Name("foo"), force=True, erase=True)
    two.engine.remove("bar-0")
    tell(two)
    page = one.services.containers.queries.page()
    for drift in (*page.containers[0].drift, page.leftovers[0].drift):
        assert render(drift.reason) == f"[{drift.reason}]" and render(drift.advice) == f"[{drift.advice}]"
    plain = {"kind": "missing", "reason": "It is gone", "advice": "make it anew"}
    change(two, observed_prefix("containers", "two"), versions={"0": {"state": "missing", "drift": [plain]}})
    (drift,) = one.services.containers.queries.page().containers[0].drift
    assert vars(drift) == plain


def test_what_is_wrong_with_another_node_s_gpus(one: World, two: World) -> None:
    two.inventory.changes[0] = {"fault": Text("it lost {link}", link="NVLink 2")}
    tell(two)
    (gpu, *_) = one.services.gpus.all("two")
    assert gpu.fault == "it lost NVLink 2" and render(gpu.fault) == "[it lost NVLink 2]"
    two.inventory.error = Unavailable("nvml", WHY)
    tell(two)
    assert {render(view.reason) for view in one.services.gpus.all("two")} == {"[[sda is broken]]"}
    plain = [{**vars(Gpu("GPU-old", 0, fault="it is old")), "processes": []}]
    change(two, observed_gpus_key("two"), gpus=plain, moving={})
    assert [view.fault for view in one.services.gpus.all("two")] == ["it is old"]


def test_why_a_gpu_was_taken_out_of_service(world: World) -> None:
    world.inventory.changes[0] = {"fault": WHY}
    world.services.gpu.health.check()
    world.inventory.changes.clear()
    view = world.services.gpus.all()[0]
    assert render(view.reason) == "[[sda is broken]]" and render(view.advice) == f"[{view.advice}]"
    change(world, "/health/", fault="it is old")
    assert world.services.gpus.all()[0].reason == "it is old"


def test_why_a_node_cannot_tell(one: World, two: World) -> None:
    tell(two)
    two.engine.fail_next["list"] = Unavailable("docker", WHY)
    with pytest.raises(Unavailable):
        two.services.agent.presence.report()
    two.services.agent.presence.beat("http://two.test")
    assert render(silence(one)) == "[node two cannot tell: [sda is broken]]"
    change(two, agent_key("two"), problem="Docker is away")
    assert silence(one) == "node two cannot tell: Docker is away"
    two.store.transact({}, [Delete(agent_key("two"))])
    assert render(silence(one)) == f"[{silence(one)}]"


def test_how_a_container_lost_its_gpus_inside(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=1))
    world.engine.commands["nvidia-smi"] = lambda *_: ExecResult(
        "", "Failed to initialize NVML: {no}\n", 255, False, False
    )
    world.services.gpu.health.look_inside()
    reason = world.services.gpu.health.faults_inside()["foo"]
    assert render(reason) == "[nvidia-smi in it says: Failed to initialize NVML: {no}]"
    (drift,) = world.services.containers.queries.show(Name("foo")).drift
    assert render(drift.reason) == f"[foo-0 has lost its GPUs inside: [{reason}]]"
    change(world, FAULTS, reason=str(reason))
    assert world.services.gpu.health.look_inside() == [], "what an older gpudock wrote says the same"
    assert world.services.gpu.health.faults_inside() == {"foo": reason}
