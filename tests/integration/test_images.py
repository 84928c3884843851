"""Images on a real Docker: pulled from a real registry, named, listed, removed."""

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from app.adapters.docker.client import Clients
from app.adapters.docker.images import DockerImages
from app.errors import ImageInUse, ImageNotFound, ImageNotInRegistry, InvalidRequest, RegistryUnreachable
from app.model.container import ContainerPlan, Labels, Spec
from app.model.image import LocalImage, PullState
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE, rootfs
from tests.support.registry import Registry

BIG = 30 << 20


@pytest.fixture
def images(dockerd: Dockerd, image: str) -> Iterator[DockerImages]:
    """The adapter; what a test adds to the images is removed in the end."""
    before = dockerd.docker("images", "-q", "--no-trunc").split()
    yield DockerImages(Clients(dockerd.url))
    dockerd.remove_containers()
    for added in set(dockerd.docker("images", "-q", "--no-trunc").split()) - set(before):
        dockerd.docker("rmi", "-f", added)


@pytest.fixture(scope="module")
def pushed(dockerd: Dockerd, registry: Registry) -> str:
    """The name of an image of two layers, the second of 30 MB, which only the registry has."""
    name = f"{registry.address}/team/big:1"
    build = [*dockerd.command, "import", "-", "small:1"]
    subprocess.run(build, input=rootfs(), check=True, stdout=subprocess.DEVNULL)
    dockerd.docker("run", "--name", "fill", "small:1", "sh", "-c", f"head -c {BIG} /dev/urandom >/big")
    dockerd.docker("commit", "fill", name)
    dockerd.docker("push", "-q", name)
    dockerd.docker("rm", "fill")
    dockerd.docker("rmi", name, "small:1")
    return name


def named(images: DockerImages, name: str) -> LocalImage | None:
    return next((image for image in images.all() if name in image.names), None)


def nothing(_: PullState) -> None:
    pass


def test_a_pull_tells_its_steps_and_bytes(images: DockerImages, pushed: str) -> None:
    told: list[PullState] = []
    images.pull(pushed, told.append)
    steps = list(dict.fromkeys(state.step for state in told))
    assert steps[-2:] == ["loading", "unpacking"] and told[-1].total is not None
    assert told[-1].done == told[-1].total and BIG <= told[-1].total < BIG + (8 << 20)
    found = named(images, pushed)
    assert found is not None and found.digests == (f"{pushed.removesuffix(':1')}@{found.digests[0].split('@')[1]}",)
    assert found.size > BIG and found.committed is None and found.title == pushed
    told.clear()
    images.pull(pushed, told.append)  # there is nothing to load any more
    assert {state.done for state in told} == {0}
    images.remove(pushed)
    images.pull(found.digests[0], nothing)
    again = next(image for image in images.all() if image.id == found.id)
    assert again.names == () and again.named and again.title == found.digests[0]


def test_a_pull_that_its_caller_ends_leaves_no_image(images: DockerImages, pushed: str) -> None:
    def tell(state: PullState) -> None:
        if state.step == "loading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images.pull(pushed, tell)
    assert named(images, pushed) is None


def test_a_registry_that_does_not_answer_can_be_given_up_at_once(images: DockerImages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked: list[PullState] = []

        def tell(state: PullState) -> None:
            asked.append(state)
            if len(asked) == 2:
                raise KeyboardInterrupt

        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            images.pull(f"127.0.0.1:{silent.getsockname()[1]}/a:1", tell)
        assert time.monotonic() - begun < 3 and asked[0] == PullState("asking the registry", 0, None)


def test_what_is_wrong_with_a_pull_is_said(images: DockerImages, pushed: str, registry: Registry) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(RegistryUnreachable, match=rf"registry of '{nobody}/a:1' cannot be reached.*refused"):
        images.pull(f"{nobody}/a:1", nothing)
    for name in (f"{registry.address}/nothing:1", pushed.replace(":1", ":2") + "x"):
        with pytest.raises(ImageNotInRegistry, match="has no image"):
            images.pull(name, nothing)


def test_a_name_is_added_and_taken_away(images: DockerImages, dockerd: Dockerd) -> None:
    image = dockerd.docker("images", "-q", "--no-trunc", IMAGE)
    before = named(images, IMAGE)
    assert before is not None and before.id == image
    images.tag(image, "team/other:1")
    images.tag(image, "f" * 64)
    after = named(images, "team/other:1")
    assert after is not None and set(after.names) == {*before.names, "team/other:1", "f" * 64 + ":latest"}
    images.remove("f" * 64 + ":latest")
    images.remove("docker.io/team/other:1")  # as nobody lists it
    images.remove("team/other:1")
    assert named(images, IMAGE) == before
    for name in ("UPPER", "a b", "x@sha256:" + "0" * 64, "../../containers"):
        with pytest.raises(InvalidRequest):
            images.tag(image, name)
    with pytest.raises(ImageNotFound):
        images.tag("sha256:" + "0" * 64, "other:1")


def test_a_commit_names_its_container_and_an_image_with_containers_stays(
    images: DockerImages, engine: DockerEngine
) -> None:
    labels = Labels(NODE, "foo", 3, "op")
    container = engine.create(ContainerPlan("foo-3", labels, engine.image(IMAGE).id, Spec(IMAGE)))
    engine.hold_image(engine.image(IMAGE).id)
    engine.commit(container, "saved:1", "an-operation")
    saved, source = named(images, "saved:1"), named(images, IMAGE)
    assert saved and (saved.committed, saved.maker) == ("foo-3", "an-operation")
    assert source and not any("held" in name for name in source.names) and "foo-3" in images.users()[source.id]
    child = engine.create(ContainerPlan("bar-0", Labels(NODE, "bar", 0, "op2"), saved.id, Spec("saved:1")))
    with pytest.raises(ImageInUse, match="saved:1 stays"):
        images.remove("saved:1")
    engine.remove(child)
    images.remove("saved:1")
    assert named(images, "saved:1") is None


def test_an_image_without_a_name_is_listed_and_removed_by_its_id(images: DockerImages, dockerd: Dockerd) -> None:
    dockerd.docker("run", "--name", "once", IMAGE, "true")
    made = dockerd.docker("commit", "once")
    found = next(image for image in images.all() if image.id == made)
    assert not found.named and found.title == found.short_id == made.removeprefix("sha256:")[:12]
    images.remove(made)
    assert made not in {image.id for image in images.all()}
