"""What operations leave that were killed right at their end, over working fakes: reconcile finds it and tidies up."""

from dataclasses import replace

import pytest

from app import errors
from app.agent.plan import plan
from app.model.container import Bind, Labels
from app.model.names import Name
from app.model.operation import Operation, now
from app.model.sizes import parse_size
from app.model.volume import VolumePlan
from app.operations.queries import OperationView
from app.ports import Put
from app.state.codec import encode
from tests.support.world import World, spec

OTHER_IMAGE = "sha256:" + "c" * 64


class Killed(BaseException):
    """The process is gone: nothing of it goes on."""


@pytest.fixture
def foo(world: World) -> World:
    """A container `foo` with a file, and a volume `vol` with one."""
    world.services.containers.create("foo", spec(gpu_count=1))
    world.files("foo-0")["vim"] = "installed"
    world.services.volumes.create("vol", "8KB")
    world.volumes.write("vol-0", "file", "data")
    return world


def reconcile(world: World) -> list[str]:
    """One pass; what it had planned."""
    reconciler = world.services.agent.reconciler
    actions = plan(reconciler.snapshot_reader.read(), ())
    reconciler.executor.execute(actions)
    return [f"{action.kind} {action.target}" for action in actions]


def newest(world: World) -> OperationView:
    return world.services.operations.queries.all(limit=1).operations[0]


def aside(world: World) -> list[str]:
    """All places where something is set aside."""
    return [place for place in (*world.engine.layers, *world.volumes.files) if place.startswith("/aside/")]


def killed_at(world: World, part: object, method: str, *, before: bool = True) -> None:
    """The next call of the method is the process's last."""
    original = getattr(part, method)

    def last(*args: object) -> None:
        setattr(part, method, original)
        if not before:
            original(*args)
        world.host.alive = {"next-process"}
        world.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
        world.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
        raise Killed

    setattr(part, method, last)


def in_the_next_process(world: World) -> None:
    del world.services.operations.journal.recover  # type: ignore[method-assign]


def test_a_layer_that_was_set_aside_goes_once_the_next_version_has_it(foo: World) -> None:
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    assert reconcile(foo) == reconcile(foo) == [] and len(aside(foo)) == 1, "the next version will begin with it"
    killed_at(foo, foo.layers, "discard")
    with pytest.raises(Killed):
        foo.services.containers.restart(Name("foo"))
    in_the_next_process(foo)
    assert reconcile(foo) == ["discard foo-0"] and len(aside(foo)) == 1, "its process may be at it"
    assert reconcile(foo) == ["discard foo-0"] and aside(foo) == []
    assert foo.services.containers.records.version(Name("foo", 0)).layer is None
    assert (newest(foo).operation.kind, newest(foo).operation.name) == ("discard", "foo-0")
    assert reconcile(foo) == [] and foo.files("foo-1") == {"vim": "installed"}


def test_a_volume_that_was_set_aside_goes_once_the_next_version_has_it(foo: World) -> None:
    foo.services.volumes.delete(Name("vol"), force=True, erase=False)
    assert reconcile(foo) == reconcile(foo) == [] and len(aside(foo)) == 1
    killed_at(foo, foo.volumes, "discard_aside")
    with pytest.raises(Killed):
        foo.services.volumes.resize(Name("vol"), "16KB")
    in_the_next_process(foo)
    assert reconcile(foo) == reconcile(foo) == ["discard vol-0"] and aside(foo) == []
    assert foo.services.volumes.records.version(Name("vol", 0)).aside is None
    assert (newest(foo).operation.resource, newest(foo).operation.name) == ("volumes", "vol-0")
    assert reconcile(foo) == []


def test_after_a_change_that_ended_well_nothing_is_left_on_record(foo: World) -> None:
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    foo.services.containers.restart(Name("foo"))
    foo.services.volumes.delete(Name("vol"), force=True, erase=False)
    foo.services.volumes.resize(Name("vol"), "16KB")
    assert reconcile(foo) == [] and aside(foo) == []


def test_what_only_a_deleted_version_has_is_kept_though_another_one_is_the_newest(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 2)
    foo.files("foo-1")["work"] = "of a week"
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    foo.services.containers.roll_back(Name("foo"), 0)
    foo.services.volumes.resize(Name("vol"), "16KB")
    foo.services.volumes.delete(Name("vol"), force=True, erase=False)
    foo.services.volumes.roll_back(Name("vol"), 0)
    assert reconcile(foo) == reconcile(foo) == [] and len(aside(foo)) == 2
    assert not foo.services.agent.reconciler.executor.retained_data.drop("containers", "foo", 1)
    foo.services.containers.delete(Name("foo"), force=True, erase=True)
    foo.services.volumes.delete(Name("vol"), force=True, erase=True)
    assert aside(foo) == []


def test_nothing_is_discarded_while_the_family_is_busy(foo: World) -> None:
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    killed_at(foo, foo.layers, "discard")
    with pytest.raises(Killed):
        foo.services.containers.restart(Name("foo"))
    in_the_next_process(foo)
    reconcile(foo)
    busy = Operation("00busy", "gpu", "foo", 2, "test-node", "next-process", now())
    foo.store.transact({}, [Put("/operations/containers/foo", encode(busy))])
    retained = foo.services.agent.reconciler.executor.retained_data
    assert reconcile(foo) == [] and not retained.drop("containers", "foo", 0)
    assert len(aside(foo)) == 1


def test_the_files_of_an_older_version_are_not_set_aside(foo: World) -> None:
    foo.services.containers.change_gpus(Name("foo"), 2)
    foo.services.containers.delete(Name("foo", 0), force=False, erase=False)
    assert aside(foo) == [] and foo.services.containers.records.version(Name("foo", 0)).removed
    assert reconcile(foo) == []


def test_images_that_nobody_needs_are_let_go(foo: World) -> None:
    foo.engine.images["other:1"] = replace(foo.engine.images["busybox:test"], id=OTHER_IMAGE)
    foo.engine.hold_image(OTHER_IMAGE)
    assert reconcile(foo) == [f"release image {OTHER_IMAGE}"] and OTHER_IMAGE in foo.engine.held
    reconcile(foo)
    assert foo.engine.held == {foo.engine.images["busybox:test"].id} and reconcile(foo) == []
    found = newest(foo).operation
    assert (found.kind, found.resource, found.name, found.by) == ("release", "images", OTHER_IMAGE, "gpudock")


def test_the_image_of_a_deleted_container_on_record_is_kept(foo: World) -> None:
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    assert foo.engine.held_images() and reconcile(foo) == reconcile(foo) == []


def test_an_image_that_an_operation_began_to_need_is_held_again(foo: World) -> None:
    foo.engine.images["other:1"] = replace(foo.engine.images["busybox:test"], id=OTHER_IMAGE)
    foo.engine.hold_image(OTHER_IMAGE)
    release = foo.engine.release_image

    def begun_meanwhile(image: str) -> None:
        begun = Operation("00new", "create", "bar", 0, "test-node", "this-process", now(), image_id=image)
        foo.store.transact({}, [Put("/operations/containers/bar", encode(begun))])
        release(image)

    foo.engine.release_image = begun_meanwhile  # type: ignore[method-assign]
    foo.services.agent.reconciler.executor.undo.release_image(OTHER_IMAGE)
    assert OTHER_IMAGE in foo.engine.held


def undone(world: World, operation: str, outcome: str = "undone") -> None:
    """An operation in the history."""
    record = encode(Operation(operation, "create", "late", 0, "test-node", "dead", now(), resource="volumes"))
    history = {**record, "outcome": outcome, "ended": now(), "error": None}
    world.store.transact({}, [Put(f"/history/{operation}", history)])


@pytest.mark.parametrize("outcome", ["undone", "done", None])
def test_a_volume_that_was_made_too_late_is_removed(foo: World, outcome: str | None) -> None:
    if outcome:
        undone(foo, "00gone", outcome)
    foo.volumes.create(VolumePlan(Labels("test-node", "late", 0, "00gone"), parse_size("8KB")))
    expected = ["remove volume late-0"] if outcome == "undone" else []
    assert reconcile(foo) == expected and reconcile(foo) == expected
    assert ("late-0" in foo.engine.volumes) == (outcome != "undone") and "vol-0" in foo.engine.volumes


def test_a_volume_that_was_made_too_late_stays_while_a_container_names_it(foo: World) -> None:
    undone(foo, "00gone")
    foo.volumes.create(VolumePlan(Labels("test-node", "late", 0, "00gone"), parse_size("8KB")))
    foo.volumes.write("late-0", "file", "data")
    foo.engine.add_foreign("by-hand", "exited", spec(binds=(Bind("late-0", "/data"),)))
    before = newest(foo)
    assert reconcile(foo) == reconcile(foo) == ["remove volume late-0"]
    assert "late-0" in foo.engine.volumes and newest(foo) == before


@pytest.mark.parametrize("before", [True, False])
def test_a_commit_counts_if_docker_has_the_image(foo: World, before: bool) -> None:
    killed_at(foo, foo.engine, "commit", before=before)
    with pytest.raises(Killed):
        foo.services.containers.commit(Name("foo"), "mine")
    in_the_next_process(foo)
    assert reconcile(foo) == ["settle commit foo-0"]
    assert newest(foo).state == ("undone" if before else "done") and foo.stored("/operations/") == []
    assert ("mine:latest" in foo.engine.images) != before
    if before:
        assert foo.services.containers.commit(Name("foo"), "mine") == ("foo-0", "mine")
    else:
        with pytest.raises(errors.ImageNameTaken):
            foo.services.containers.commit(Name("foo"), "mine")


def test_an_image_without_its_name_gets_it_from_whoever_settles_the_commit(foo: World) -> None:
    killed_at(foo, foo.engine, "commit", before=False)
    with pytest.raises(Killed):
        foo.services.containers.commit(Name("foo"), "mine")
    image = foo.engine.images.pop("mine:latest")
    in_the_next_process(foo)
    reconcile(foo)
    assert foo.engine.images["mine:latest"] == image and newest(foo).state == "done"


def test_a_commit_whose_name_went_to_another_image_is_undone(foo: World) -> None:
    killed_at(foo, foo.engine, "commit", before=False)
    with pytest.raises(Killed):
        foo.services.containers.commit(Name("foo"), "mine")
    foo.engine.images["mine:latest"] = foo.engine.images["busybox:test"]
    in_the_next_process(foo)
    reconcile(foo)
    assert newest(foo).state == "undone" and foo.engine.nameless_commits() == set()
    assert foo.engine.images["mine:latest"] == foo.engine.images["busybox:test"]


def test_the_image_of_a_commit_that_docker_made_too_late_is_removed(foo: World) -> None:
    killed_at(foo, foo.engine, "commit")
    with pytest.raises(Killed):
        foo.services.containers.commit(Name("foo"), "mine")
    in_the_next_process(foo)
    reconcile(foo)
    operation = newest(foo).operation.id
    foo.engine.commit("foo-0", "late", operation)
    del foo.engine.images["late:latest"]
    assert reconcile(foo) == reconcile(foo) == [f"remove image of commit {operation}"]
    assert foo.engine.nameless_commits() == set() and reconcile(foo) == []
    note = newest(foo)
    assert (note.operation.kind, note.operation.name) == ("remove stray", "foo-0") and operation in str(note.error)
