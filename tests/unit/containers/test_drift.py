import time
from dataclasses import replace

import pytest

from app.errors import Unavailable
from app.model.container import Bind, ExecResult
from app.model.drift import CONTAINER_KINDS, VOLUME_KINDS, Drift
from app.model.names import VOLUME, parse
from app.model.operation import Operation, new_id, now
from app.model.volume import NONE
from app.ports import Put
from app.state.codec import encode
from app.state.keys import CONTAINERS, VOLUMES, operation_key
from tests.support.fake_engine import FakeContainer
from tests.support.world import World, spec


def container(world: World, name: str) -> FakeContainer:
    return next(found for found in world.engine.containers.values() if found.name == name)


def drifts(world: World, family: str = "foo") -> list[Drift]:
    """What the list says of a family; one look at it says the same, in more detail."""
    (listed,) = [v for v in world.services.containers.queries.page().containers if v.family.family == family]
    closer = world.services.containers.queries.show(parse(family))
    assert [drift.kind for drift in listed.drift] == [drift.kind for drift in closer.drift]
    assert all(drift.kind in CONTAINER_KINDS for drift in closer.drift)
    return list(closer.drift)


def volume_drifts(world: World, family: str = "data") -> list[Drift]:
    (listed,) = [v for v in world.services.volumes.queries.page().volumes if v.family.family == family]
    closer = world.services.volumes.queries.show(parse(family, VOLUME))
    assert listed.drift == closer.drift and all(drift.kind in VOLUME_KINDS for drift in closer.drift)
    return list(closer.drift)


def only(found: list[Drift]) -> Drift:
    (drift,) = found
    return drift


@pytest.fixture
def foo(world: World) -> World:
    world.services.containers.create("foo", spec(gpu_count=2))
    return world


def running(family: str, resource: str = CONTAINERS) -> Put:
    operation = Operation(new_id(), "gpu", family, 1, "test-node", "this-process", now(), resource=resource)
    return Put(operation_key(resource, family), encode(operation))


def test_where_all_is_well_there_is_no_drift(foo: World) -> None:
    assert drifts(foo) == []
    foo.services.containers.change_gpus(parse("foo"), 3)
    foo.services.containers.stop(parse("foo"))
    assert drifts(foo) == []
    foo.services.containers.delete(parse("foo"), force=True, erase=False)
    assert drifts(foo) == []


def test_a_container_removed_by_hand(foo: World) -> None:
    foo.engine.remove("foo-0")
    drift = only(drifts(foo))
    assert drift.kind == "missing" and "foo-0" in drift.reason
    assert "DELETE /api/v1/containers/foo-0" in drift.advice


def test_an_older_version_removed_by_hand_is_told_with_the_family_and_with_itself(foo: World) -> None:
    foo.services.containers.change_gpus(parse("foo"), 3)
    foo.engine.remove("foo-0")
    drift = only(drifts(foo))
    assert drift.kind == "missing" and "foo-0" in drift.reason and "its record" in drift.advice
    newest, older = foo.services.containers.queries.show(parse("foo")).versions
    assert newest.drift == () and older.drift == (drift,)


def test_a_renamed_container(foo: World) -> None:
    container(foo, "foo-0").name = "mine"
    drift = only(drifts(foo))
    assert drift.kind == "renamed" and "docker rename mine foo-0" in drift.advice


@pytest.mark.parametrize(
    ("code", "oom", "words"),
    [(0, False, "exit code 0"), (3, False, "exit code 3"), (137, False, "signal 9"), (137, True, "want of memory")],
)
def test_a_container_that_ended_says_how_and_when(foo: World, code: int, oom: bool, words: str) -> None:
    container(foo, "foo-0").end(code, oom)
    drift = only(drifts(foo))
    assert drift.kind == "exited" and words in drift.reason and " UTC" in drift.reason
    assert "/containers/foo-0/restart" in drift.advice and ("memory" in drift.advice) == oom


def test_the_list_tells_what_docker_s_list_tells_and_inspects_nothing(foo: World) -> None:
    container(foo, "foo-0").end(137)
    foo.engine.fail_next["inspect"] = Unavailable("docker", "nobody shall be inspected")
    (view,) = foo.services.containers.queries.page().containers
    assert "Exited (137) 2 minutes ago" in only(list(view.drift)).reason
    assert foo.engine.fail_next


def test_a_container_that_was_never_started(foo: World) -> None:
    container(foo, "foo-0").state, container(foo, "foo-0").started = "created", False
    assert "never started" in only(drifts(foo)).reason


def test_a_paused_one(foo: World) -> None:
    container(foo, "foo-0").state = "paused"
    drift = only(drifts(foo))
    assert drift.kind == "paused" and "docker unpause foo-0" in drift.advice


def test_a_stopped_one_that_was_started_by_hand(foo: World) -> None:
    foo.services.containers.stop(parse("foo"))
    foo.engine.start("foo-0")
    drift = only(drifts(foo))
    assert drift.kind == "started" and "GPUs" in drift.reason and "/containers/foo-0/stop" in drift.advice


def test_an_older_version_that_runs(foo: World) -> None:
    foo.services.containers.change_gpus(parse("foo"), 0)
    foo.engine.start("foo-0")
    drift = only(drifts(foo))
    assert drift.kind == "older-running" and "foo-1" in drift.reason and "docker stop foo-0" in drift.advice


def test_while_an_operation_works_on_it_its_state_is_no_drift(foo: World) -> None:
    foo.engine.remove("foo-0")
    foo.store.transact({}, [running("foo", VOLUMES)])
    assert drifts(foo)
    foo.store.transact({}, [running("foo")])
    assert drifts(foo) == []


def test_what_changed_while_docker_was_asked_is_no_drift(foo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = foo.engine.list

    def slow(*args: str | None, **options: str | None) -> object:
        seen, begun = listing(*args, **options), now()
        monkeypatch.undo()
        while now() == begun:
            time.sleep(0.001)
        foo.services.containers.change_gpus(parse("foo"), 3)
        return seen

    monkeypatch.setattr(foo.engine, "list", slow)
    (view,) = foo.services.containers.queries.page().containers
    assert view.newest.name == "foo-1" and view.drift == ()
    assert drifts(foo) == []


def test_gpus_that_are_lost_or_sick(foo: World) -> None:
    held = foo.services.containers.records.claims().gpus_of("foo")
    index = {gpu.uuid: gpu.index for gpu in foo.inventory.gpus()}
    foo.inventory.changes = {index[held[0]]: {"fault": "XID 79"}, index[held[1]]: {"uuid": "GPU-another"}}
    found = {drift.kind: drift for drift in drifts(foo)}
    assert found.keys() == {"gpu-unhealthy", "gpu-lost"}
    assert held[0] in found["gpu-unhealthy"].reason and "XID 79" in found["gpu-unhealthy"].reason
    assert held[1] in found["gpu-lost"].reason and "/stop" in found["gpu-lost"].advice


def test_an_inventory_that_does_not_answer_is_no_drift(foo: World) -> None:
    foo.inventory.error = Unavailable("nvml", "NVML does not answer")
    assert drifts(foo) == []


def test_gpus_that_are_lost_inside(foo: World) -> None:
    said = ExecResult("", "Failed to initialize NVML: Unknown Error", 255, truncated=False)
    foo.engine.commands["nvidia-smi"] = lambda *_: said
    foo.services.gpu.health.look_inside()
    drift = only(drifts(foo))
    assert drift.kind == "gpu-lost-inside" and "Failed to initialize NVML" in drift.reason
    assert "/containers/foo-0/restart" in drift.advice


def test_a_volume_that_docker_lost_and_one_with_a_part_of_its_data(world: World) -> None:
    world.services.volumes.create("data", "1MB")
    world.engine.volumes.add("plain")
    world.services.containers.create("foo", spec(binds=(Bind("data-0", "/data"), Bind("plain", "/plain"))))
    assert drifts(world) == []
    entry = world.services.volumes.records.entry("data-0")
    assert entry
    world.store.transact({}, [world.services.volumes.records.put(replace(entry[0], parent=0, merging="broken-off"))])
    world.engine.volumes.discard("plain")
    found = {drift.kind: drift for drift in drifts(world)}
    assert found.keys() == {"volume-missing", "volume-incomplete"}
    assert "plain" in found["volume-missing"].reason and "data-0" in found["volume-incomplete"].reason


def test_containers_of_an_erased_family_are_left_over(foo: World) -> None:
    foo.services.containers.change_gpus(parse("foo"), 0)
    foo.services.containers.delete(parse("foo-1"), force=True, erase=True)
    foo.services.containers.create("bar", spec())
    page = foo.services.containers.queries.page()
    (left,) = page.leftovers
    assert left.container.name == "foo-0" and left.drift.kind == "leftover"
    assert "DELETE /api/v1/containers/foo-0" in left.drift.advice
    assert foo.services.containers.queries.page(name="bar").leftovers == ()
    assert foo.services.containers.queries.page(after="a").leftovers == ()
    foo.services.containers.delete(parse("foo-0"), force=False, erase=True)
    assert foo.services.containers.queries.page().leftovers == ()


def test_a_container_that_is_being_created_is_not_left_over(foo: World) -> None:
    foo.services.containers.change_gpus(parse("foo"), 0)
    foo.services.containers.delete(parse("foo-1"), force=True, erase=True)
    foo.store.transact({}, [running("foo")])
    assert foo.services.containers.queries.page().leftovers == ()


def test_a_volume_removed_by_hand_and_one_whose_data_is_gone(world: World) -> None:
    world.services.volumes.create("data", "1MB")
    assert volume_drifts(world) == []
    del world.volumes.files["/volumes/data-0"]
    assert only(volume_drifts(world)).kind == "data-gone"
    world.engine.volumes.discard("data-0")
    drift = only(volume_drifts(world))
    assert drift.kind == "missing" and "DELETE /api/v1/volumes/data-0" in drift.advice
    world.store.transact({}, [running("data", VOLUMES)])
    assert volume_drifts(world) == []


def test_a_volume_without_a_limit_says_so_of_the_newest_version_only(world: World) -> None:
    world.volumes.chosen = NONE
    world.services.volumes.create("data", "1MB")
    world.services.volumes.resize(parse("data", VOLUME), "2MB")
    drift = only(volume_drifts(world))
    assert drift.kind == "unenforced" and "data-1" in drift.reason and "2MB" in drift.reason


def test_a_volume_with_a_part_of_its_data(world: World) -> None:
    world.services.volumes.create("data", "1MB")
    world.services.volumes.resize(parse("data", VOLUME), "2MB")
    entry = world.services.volumes.records.entry("data-1")
    assert entry
    world.store.transact({}, [world.services.volumes.records.put(replace(entry[0], merging="broken-off"))])
    drift = only(volume_drifts(world))
    assert drift.kind == "incomplete" and "from data-0" in drift.advice
    operation = running("foo")
    merging = replace(entry[0], merging=operation.value["id"])
    world.store.transact({}, [operation, world.services.volumes.records.put(merging)])
    assert volume_drifts(world) == []


def test_a_volume_that_somebody_else_s_container_mounts(world: World) -> None:
    world.services.volumes.create("data", "1MB")
    world.services.containers.create("foo", spec(binds=(Bind("data-0", "/data"),)))
    assert volume_drifts(world) == []
    world.engine.add_foreign("stranger", spec=spec(binds=(Bind("data-0", "/data"),)))
    drift = only(volume_drifts(world))
    assert drift.kind == "foreign-mount" and "stranger" in drift.reason


def test_what_is_on_another_node_is_not_judged_here(foo: World) -> None:
    for entry in foo.store.list("/containers/"):
        foo.store.transact({}, [Put(entry.key, {**entry.value, "node": "elsewhere"})])
    foo.engine.remove("foo-0")
    (view,) = foo.services.containers.queries.page().containers
    assert view.state == "unreachable" and [found.kind for found in view.drift] == ["unreachable"]
