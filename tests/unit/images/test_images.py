"""Images over working fakes: who needs them, removing, naming and pulling."""

import threading
from dataclasses import replace

import pytest

from app.errors import (
    Cancelled,
    ImageInUse,
    ImageNameTaken,
    ImageNotFound,
    ImageNotInRegistry,
    InvalidRequest,
    NotCancellable,
    OperationRunning,
    RegistryUnreachable,
)
from app.images.pull import PullImage
from app.model.image import LocalImage, PullState, full_name
from app.model.names import parse
from app.model.operation import Kind, Operation, new_id, now
from app.operations.base import Plan
from app.state.keys import cancellation_key
from tests.support.volumes import wait_for
from tests.support.world import World, spec

BUSYBOX, OTHER, BARE = ("sha256:" + digit * 64 for digit in "b12")


def titles(world: World, **wanted: object) -> list[str]:
    return [view.image.title for view in world.services.images.all(**wanted)]  # type: ignore[arg-type]


@pytest.fixture
def stocked(world: World) -> World:
    """One image with two names, one without any, and busybox, of which a container was made."""
    for name in ("other:1", "other:2"):
        world.images.registry[name] = OTHER
        world.services.operations.run(PullImage(name))
    world.engine.untagged.add(BARE)
    world.services.containers.create("foo", spec())
    return world


def test_the_list_says_who_needs_an_image(stocked: World) -> None:
    stocked.engine.add_foreign("by-hand")
    stocked.services.containers.change_gpus(parse("foo"), 1)
    views = {view.image.id: view for view in stocked.services.images.all()}
    assert views[BUSYBOX].users == ("by-hand", "foo-0", "foo-1") and views[BUSYBOX].node == "test-node"
    assert not views[OTHER].in_use and views[OTHER].image.names == ("other:1", "other:2")
    assert views[BARE].image.title == "2" * 12 and not views[BARE].image.named
    assert titles(stocked, name="er:2") == ["other:1"] and titles(stocked, unused=True) == ["other:1", "2" * 12]
    assert titles(stocked, name="222") == ["2" * 12]


def test_an_image_that_a_record_or_a_running_operation_needs_stays(stocked: World) -> None:
    stocked.services.containers.delete(parse("foo"), force=True, erase=False)
    assert stocked.containers() == {}
    with pytest.raises(ImageInUse, match="busybox:test is needed by foo-0") as refused:
        stocked.services.images.remove("busybox:test")
    assert refused.value.data == {"containers": ["foo-0"]}
    operation = Operation(new_id(), "create", "bar", 0, "test-node", "this-process", now(), image_id=OTHER)
    live = stocked.services.operations.journal.begin(Plan(operation=operation))
    with pytest.raises(ImageInUse, match="bar-0"):
        stocked.services.images.remove("other:1")
    assert live is not None
    live.commit([])
    assert stocked.services.images.remove("other:1").image.names == ("other:1", "other:2")
    assert titles(stocked) == ["other:2", "2" * 12, "busybox:test"]


def test_what_a_running_commit_has_just_made_stays_though_it_has_no_name(stocked: World) -> None:
    operation = stocked.services.operations.runner.reader.draft(Kind.COMMIT, "foo", 0)
    live = stocked.services.operations.journal.begin(Plan(operation=replace(operation, image_id=BUSYBOX)))
    made = stocked.engine.commit("foo-0", "saved", operation.id)
    del stocked.engine.images["saved:latest"]
    stocked.engine.untagged.add(made)
    assert stocked.services.images.remove_unused([made]) == ()
    assert live is not None
    live.commit([])
    assert stocked.services.images.remove_unused([made]) == (made,)


def test_one_on_another_node_does_not_keep_an_image_here(stocked: World) -> None:
    operation = Operation(new_id(), "create", "bar", 0, "another", "its-process", now(), image_id=OTHER)
    assert stocked.services.operations.journal.begin(Plan(operation=operation))
    stocked.services.images.remove(OTHER)
    assert OTHER not in {view.image.id for view in stocked.services.images.all()}


def test_a_tag_of_ours_that_was_left_does_not_keep_an_image(stocked: World) -> None:
    stocked.engine.hold_image(OTHER)
    stocked.services.images.remove("other:1")
    assert stocked.engine.held == {BUSYBOX}


def test_whoever_begins_with_an_image_while_a_name_of_it_is_removed_keeps_it(
    stocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = stocked.images.remove

    def begin_meanwhile(name: str) -> None:
        assert stocked.services.containers.create("bar", spec(image="other:2"))
        remove(name)

    monkeypatch.setattr(stocked.images, "remove", begin_meanwhile)
    stocked.services.images.remove("other:1")
    assert OTHER in stocked.engine.held and stocked.services.images.one("other:2").users == ("bar-0",)


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("team/a", ("team/a:latest",)),
        ("docker.io/team/b:2", ("docker.io/team/b:2",)),
        ("team/a@sha256:d1", ("team/a@sha256:d1",)),
        (BUSYBOX, ("team/a:latest", "team/b:2")),
        (BUSYBOX[7:19], ("team/a:latest", "team/b:2")),
        (BUSYBOX[7:18], (f"{BUSYBOX[7:18]}:latest",)),
        ("b", ("b:latest",)),
    ],
)
def test_only_an_id_means_all_names_of_an_image(reference: str, meant: tuple[str, ...]) -> None:
    image = LocalImage(BUSYBOX, ("team/a:latest", "team/b:2"), ("team/a@sha256:d1",), 1, now())
    assert image.meant_by(reference) == meant
    assert replace(image, names=()).meant_by(BUSYBOX) == (BUSYBOX,)


def test_what_is_not_there_cannot_be_removed(stocked: World) -> None:
    with pytest.raises(ImageNotFound):
        stocked.services.images.remove("nothing:1")


def test_only_what_nobody_needs_is_cleaned_up(stocked: World) -> None:
    removed = stocked.services.images.remove_unused([BUSYBOX, BARE, "sha256:unknown"])
    assert removed == (BARE,) and titles(stocked) == ["other:1", "busybox:test"]
    assert stocked.services.images.remove_unused(["other:1"]) == ("other:1",)
    assert titles(stocked) == ["other:2", "busybox:test"]


def test_a_commit_tells_whose_it_is_and_gets_another_name(stocked: World) -> None:
    stocked.services.containers.commit(parse("foo"), "saved")
    view = stocked.services.images.one("saved")
    assert view.image.committed == "foo-0" and view.image.names == ("saved:latest",)
    assert stocked.services.images.tag("saved", "team/saved:1").image.names == ("saved:latest", "team/saved:1")
    assert stocked.services.images.tag("saved", "team/saved:1") == stocked.services.images.one("saved")
    with pytest.raises(ImageNameTaken):
        stocked.services.images.tag("saved", "busybox:test")
    for name in ("", "-x", "A B", "UPPER"):
        with pytest.raises(InvalidRequest):
            stocked.services.images.tag("saved", name)


def test_a_pull_is_an_operation_with_its_bytes(world: World) -> None:
    world.images.registry["hub:5000/team/new:1"] = OTHER
    world.images.states = [PullState("asking the registry", 0, None), PullState("unpacking", 9, 9)]
    pulled = world.services.operations.run(PullImage("hub:5000/team/new:1"))
    assert (pulled.name, pulled.view.image.id, pulled.changed) == ("hub:5000/team/new:1", OTHER, True)
    (view,) = world.services.operations.queries.all().operations
    assert (view.state, view.operation.kind, view.operation.name) == ("done", "pull", "hub:5000/team/new:1")
    assert (view.operation.resource, view.operation.step, view.operation.done, view.operation.total) == (
        "images",
        "unpacking",
        9,
        9,
    )
    assert not world.services.operations.run(PullImage("hub:5000/team/new:1")).changed
    assert world.stored() == []


@pytest.mark.parametrize("error", [RegistryUnreachable("out of reach"), None])
def test_a_pull_that_fails_leaves_nothing_but_its_history(world: World, error: RegistryUnreachable | None) -> None:
    world.images.fail_next = error
    with pytest.raises(type(error) if error else ImageNotInRegistry):
        world.services.operations.run(PullImage("new"))
    (view,) = world.services.operations.queries.all().operations
    assert view.state == "undone" and view.operation.name == "new:latest" and view.error
    assert world.stored() == [] and titles(world) == ["busybox:test"]


def test_a_pull_is_cancelled_and_meanwhile_not_begun_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.operations.handle._REPORT_EVERY", 0)
    loading = threading.Event()

    def pull(name: str, tell: object) -> None:
        loading.set()
        while True:
            tell(PullState("loading", 1, 2))  # type: ignore[operator]

    monkeypatch.setattr(world.images, "pull", pull)
    outcome: list[BaseException] = []

    def work() -> None:
        with pytest.raises(Cancelled) as raised:
            world.services.operations.run(PullImage("new"))
        outcome.append(raised.value)

    thread = threading.Thread(target=work)
    thread.start()
    assert loading.wait(10)
    with pytest.raises(OperationRunning):
        world.services.operations.run(PullImage("new:latest"))
    (view,) = world.services.operations.queries.all().operations
    assert view.cancellable and world.services.operations.queries.cancel(view.operation.id).state == "undone"
    thread.join()
    assert outcome and world.stored() == []
    with pytest.raises(NotCancellable):
        world.services.operations.queries.cancel(view.operation.id)


def test_a_pull_whose_process_died_is_settled_by_the_next_one(world: World) -> None:
    operation = replace(
        world.services.operations.runner.reader.draft(Kind.PULL, "test-node/new:latest", 0, "images"), owner="dead"
    )
    live = world.services.operations.journal.begin(Plan(operation=operation))
    assert live is not None and world.store.get(cancellation_key(operation.id)) is None
    world.images.registry["new:latest"] = OTHER
    assert world.services.operations.run(PullImage("new")).changed
    wait_for(lambda: world.services.operations.queries.one(operation.id).state == "undone")


def test_two_nodes_may_pull_the_same_image(world: World) -> None:
    operation = Operation(new_id(), "pull", "another/new:latest", 0, "another", "its-process", now(), resource="images")
    assert operation.name == "new:latest" and world.services.operations.journal.begin(Plan(operation=operation))
    world.images.registry["new:latest"] = OTHER
    assert world.services.operations.run(PullImage("new")).changed


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("busybox", "busybox:latest"),
        ("hub:5000/a/b", "hub:5000/a/b:latest"),
        ("hub:5000/a/b:1", "hub:5000/a/b:1"),
        ("a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
    ],
)
def test_names_are_completed_as_docker_does(given: str, full: str) -> None:
    assert full_name(given) == full
