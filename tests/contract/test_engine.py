"""What services may expect of an engine: of the one in memory and of a real Docker alike."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from app.errors import (
    CommandRefused,
    ContainerExists,
    ContainerNotFound,
    ContainerNotRunning,
    ImageNotFound,
    InvalidRequest,
    PortTaken,
)
from app.model.container import Bind, ContainerPlan, Image, Labels, PortMapping, Spec
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.fake_engine import FakeEngine
from tests.support.images import IMAGE, VOLUME_IMAGE


@dataclass
class Bench:
    """An engine, and what a test does to it behind gpudock's back."""

    engine: FakeEngine | DockerEngine
    add_volume: Callable[[str], object]
    add_foreign: Callable[[str], object]

    def plan(self, family: str = "foo", version: int = 0, image: str = IMAGE, **spec: object) -> ContainerPlan:
        wanted = replace(Spec(image), **spec)
        labels = Labels(NODE, family, version, f"op-{secrets.token_hex(4)}")
        return ContainerPlan(f"{family}-{version}", labels, self.engine.image(image).id, wanted)

    def create(self, family: str = "foo", version: int = 0, **spec: object) -> str:
        return self.engine.create(self.plan(family, version, **spec))


@pytest.fixture(params=["memory", "docker"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        fake = FakeEngine(NODE)
        fake.images[VOLUME_IMAGE] = Image("sha256:" + "d" * 64, ("/data",))
        yield Bench(fake, fake.volumes.add, fake.add_foreign)
        return
    dockerd: Dockerd = request.getfixturevalue("dockerd")
    engine: DockerEngine = request.getfixturevalue("engine")
    yield Bench(
        engine,
        lambda name: dockerd.docker("volume", "create", name),
        lambda name: dockerd.docker("run", "-dit", "--name", name, IMAGE),
    )


def test_ping_tells_a_version(bench: Bench) -> None:
    assert bench.engine.ping()[0].isdigit()


def test_an_image_is_found_by_name_and_by_id(bench: Bench) -> None:
    image = bench.engine.image(IMAGE)
    assert image.id.startswith("sha256:")
    assert image.volumes == ()
    assert bench.engine.image(image.id) == image
    assert bench.engine.image(VOLUME_IMAGE).volumes == ("/data",)


@pytest.mark.parametrize("name", ["absent:1", "Upper", "a b", "", "../containers/foo-0", "sha256:" + "0" * 64])
def test_an_image_that_is_not_there_is_named_in_the_error(bench: Bench, name: str) -> None:
    bench.create()
    with pytest.raises(ImageNotFound, match=repr(name)):
        bench.engine.image(name)


def test_a_created_container_is_not_started(bench: Bench) -> None:
    plan = bench.plan()
    identity = bench.engine.create(plan)
    seen = bench.engine.inspect("foo-0")
    assert seen is not None
    assert (seen.id, seen.name, seen.state, seen.labels) == (identity, "foo-0", "created", plan.labels)
    assert (seen.image_id, seen.anonymous, seen.started, seen.running) == (plan.image_id, {}, False, False)
    assert len(identity) == 64
    assert bench.engine.locate(identity)


def test_an_operation_that_creates_twice_gets_the_same_container(bench: Bench) -> None:
    plan = bench.plan()
    assert bench.engine.create(plan) == bench.engine.create(plan)
    assert len(bench.engine.list()) == 1


def test_a_name_of_another_operation_is_a_conflict(bench: Bench) -> None:
    identity = bench.create()
    with pytest.raises(ContainerExists, match=identity[:12]):
        bench.create()


def test_a_name_of_a_foreign_container_is_a_conflict(bench: Bench) -> None:
    bench.add_foreign("foo-0")
    with pytest.raises(ContainerExists):
        bench.create()
    seen = bench.engine.inspect("foo-0")
    assert seen is not None
    assert seen.labels is None


def test_create_from_an_image_that_vanished(bench: Bench) -> None:
    with pytest.raises(ImageNotFound):
        bench.engine.create(replace(bench.plan(), image_id="sha256:" + "0" * 64))


def test_list_shows_only_the_containers_of_this_node(bench: Bench) -> None:
    first, second = bench.create("foo"), bench.create("foo", 1)
    other = bench.plan("bar")
    bench.engine.create(other)
    elsewhere = bench.plan("baz")
    bench.engine.create(replace(elsewhere, labels=replace(elsewhere.labels, node="elsewhere")))
    bench.add_foreign("stranger")
    assert {seen.name for seen in bench.engine.list()} == {"foo-0", "foo-1", "bar-0"}
    assert {seen.id for seen in bench.engine.list(family="foo")} == {first, second}
    assert [seen.labels for seen in bench.engine.list(operation=other.labels.operation)] == [other.labels]
    assert bench.engine.list(family="foo", operation=other.labels.operation) == []


def test_start_stop_and_start_again(bench: Bench) -> None:
    identity = bench.create()
    for _ in range(2):
        bench.engine.start(identity)
        bench.engine.start(identity)
        seen = bench.engine.inspect(identity)
        assert seen is not None
        assert (seen.state, seen.started, seen.running) == ("running", True, True)
        bench.engine.stop(identity)
        bench.engine.stop(identity)
        seen = bench.engine.inspect(identity)
        assert seen is not None
        assert (seen.state, seen.started, seen.running) == ("exited", True, False)


def test_a_host_port_has_one_running_container(bench: Bench) -> None:
    ports = (PortMapping(45917, 80),)
    first, second = bench.create("foo", ports=ports), bench.create("bar", ports=ports)
    bench.engine.start(first)
    with pytest.raises(PortTaken) as refused:
        bench.engine.start(second)
    assert refused.value.data == {"hostPort": 45917}
    bench.engine.stop(first)
    bench.engine.start(second)


def test_remove_takes_running_and_absent_containers_alike(bench: Bench) -> None:
    identity = bench.create()
    bench.engine.start(identity)
    bench.engine.remove(identity)
    assert bench.engine.inspect(identity) is None
    bench.engine.remove(identity)


@pytest.mark.parametrize("act", ["start", "stop"])
def test_a_container_that_is_not_there(bench: Bench, act: str) -> None:
    with pytest.raises(ContainerNotFound):
        getattr(bench.engine, act)("foo-0")
    with pytest.raises(ContainerNotFound):
        bench.engine.execute("foo-0", ["echo"], None, 5, 100)
    with pytest.raises(ContainerNotFound):
        bench.engine.logs("foo-0", 5)
    with pytest.raises(ContainerNotFound):
        bench.engine.commit("foo-0", "image:1", "op")


def test_an_anonymous_volume_outlives_its_container_and_is_carried(bench: Bench) -> None:
    first = bench.create(image=VOLUME_IMAGE)
    seen = bench.engine.inspect(first)
    assert seen is not None
    (volume,) = seen.anonymous.values()
    bench.engine.remove_volume(volume)
    assert bench.engine.volume_exists(volume)
    bench.engine.remove(first)
    assert bench.engine.volume_exists(volume)
    second = bench.engine.create(replace(bench.plan("foo", 1, VOLUME_IMAGE), anonymous={"/data": volume}))
    carried = bench.engine.inspect(second)
    assert carried is not None
    assert carried.anonymous == {"/data": volume}
    bench.engine.remove(second)
    bench.engine.remove_volume(volume)
    assert not bench.engine.volume_exists(volume)
    bench.engine.remove_volume(volume)


def test_a_bound_volume_is_not_anonymous(bench: Bench) -> None:
    bench.add_volume("vol-0")
    assert bench.engine.volume_exists("vol-0")
    seen = bench.engine.inspect(bench.create(image=VOLUME_IMAGE, binds=(Bind("vol-0", "/data"), Bind("/srv", "/srv"))))
    assert seen is not None
    assert "vol-0" not in seen.anonymous.values()


def test_execute_tells_what_the_command_prints(bench: Bench) -> None:
    identity = bench.create()
    with pytest.raises(ContainerNotRunning):
        bench.engine.execute(identity, ["echo", "hi"], None, 5, 100)
    bench.engine.start(identity)
    result = bench.engine.execute(identity, ["echo", "hi", "there"], None, 5, 100)
    assert (result.stdout, result.stderr, result.exit_code) == ("hi there\n", "", 0)
    assert (result.truncated, result.timed_out) == (False, False)
    assert bench.engine.execute(identity, ["echo", "hi"], None, 5, 1).truncated
    with pytest.raises(CommandRefused, match="nosuch"):
        bench.engine.execute(identity, ["nosuch"], None, 5, 100)


def test_commit_makes_an_image(bench: Bench) -> None:
    identity = bench.create()
    made = bench.engine.commit(identity, "made:1", "op-1")
    assert bench.engine.image("made:1").id == made
    for name in ("Upper", "a b", "a@b", "-"):
        with pytest.raises(InvalidRequest):
            bench.engine.commit(identity, name, "op-2")
    assert bench.engine.nameless_commits() == set()


def test_the_image_of_a_commit_is_found_by_its_operation(bench: Bench) -> None:
    identity = bench.create()
    made = bench.engine.commit(identity, "made:1", "op-1")
    assert bench.engine.name_commit("op-1", "made:1") and not bench.engine.name_commit("op-2", "made:2")
    assert not bench.engine.name_commit("op-1", IMAGE), "that is another one's name"
    bench.engine.drop_commit("op-1")
    assert bench.engine.image("made:1").id == made, "it has a name"
    bench.engine.commit(identity, "made:1", "op-3")
    assert bench.engine.nameless_commits() == {"op-1"}
    assert bench.engine.name_commit("op-1", "made:3") and bench.engine.image("made:3").id == made
    bench.engine.commit(identity, "made:3", "op-4")
    bench.engine.drop_commit("op-1")
    bench.engine.drop_commit("op-1")
    assert bench.engine.nameless_commits() == set() and not bench.engine.name_commit("op-1", "made:1")


def test_held_images_are_told_unless_a_container_needs_them(bench: Bench) -> None:
    made = bench.engine.commit(bench.create(), "made:1", "op-1")
    image = bench.engine.image(IMAGE).id
    for held in (made, image):
        bench.engine.hold_image(held)
    assert bench.engine.held_images() == {made}
    bench.engine.release_image(made)
    assert bench.engine.held_images() == set()


def test_logs_of_a_container_that_has_printed_nothing(bench: Bench) -> None:
    assert bench.engine.logs(bench.create(), 10) == ""


def test_holding_an_image_twice_and_releasing_it_twice(bench: Bench) -> None:
    image = bench.engine.image(IMAGE).id
    for act in (bench.engine.hold_image, bench.engine.release_image):
        act(image)
        act(image)
    assert bench.engine.image(IMAGE).id == image
    with pytest.raises(ImageNotFound):
        bench.engine.hold_image("sha256:" + "0" * 64)
