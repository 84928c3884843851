"""The engine adapter while Docker is down, hangs, comes back, or loses an answer."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import Unavailable
from app.model.container import ContainerPlan, Labels, Spec
from tests.support.cut_off import CutOff
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE

READS: list[Callable[[DockerEngine], object]] = [
    lambda engine: engine.ping(),
    lambda engine: engine.list(),
    lambda engine: engine.inspect("foo-0"),
    lambda engine: engine.image(IMAGE),
    lambda engine: engine.volume_exists("vol-0"),
    lambda engine: engine.logs("foo-0", 5),
]
WRITES: list[Callable[[DockerEngine], object]] = [
    lambda engine: engine.create(plan("sha256:" + "1" * 64)),
    lambda engine: engine.start("foo-0"),
    lambda engine: engine.stop("foo-0"),
    lambda engine: engine.remove("foo-0"),
    lambda engine: engine.commit("foo-0", "made:1", "op"),
    lambda engine: engine.execute("foo-0", ["ls"], None, 60, 100),
    lambda engine: engine.hold_image("sha256:" + "1" * 64),
    lambda engine: engine.release_image("sha256:" + "1" * 64),
    lambda engine: engine.remove_volume("vol-0"),
]


def plan(image_id: str) -> ContainerPlan:
    return ContainerPlan("foo-0", Labels(NODE, "foo", 0, "op-1"), image_id, Spec(IMAGE))


@pytest.fixture
def frozen(dockerd: Dockerd, engine: DockerEngine) -> Iterator[DockerEngine]:
    engine.ping()
    dockerd.freeze()
    yield engine
    dockerd.thaw()


def unavailable(call: Callable[[DockerEngine], object], engine: DockerEngine) -> float:
    """The seconds until `call` has said that Docker is unavailable."""
    begun = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        call(engine)
    assert raised.value.part == "docker"
    return time.monotonic() - begun


def test_the_engine_is_made_without_a_docker() -> None:
    engine = DockerEngine("unix:///nonexistent/sock", NODE, "none", 3)
    assert unavailable(lambda e: e.ping(), engine) < 2.5


def test_a_killed_docker_is_noticed_at_once_and_missed_no_longer_than_it_is_gone(
    dockerd: Dockerd, engine: DockerEngine
) -> None:
    identity = engine.create(plan(engine.image(IMAGE).id))
    dockerd.kill()
    try:
        assert all(unavailable(call, engine) < 2.5 for call in READS + WRITES)
    finally:
        dockerd.start()
    assert [seen.id for seen in engine.list()] == [identity]
    engine.start(identity)


def test_a_hanging_docker_is_noticed_soon(frozen: DockerEngine) -> None:
    calls = READS + WRITES
    with ThreadPoolExecutor(len(calls)) as pool:
        assert max(pool.map(unavailable, calls, [frozen] * len(calls))) < 20


def test_a_docker_that_hangs_for_a_while_is_only_late(dockerd: Dockerd, engine: DockerEngine) -> None:
    dockerd.freeze()
    threading.Timer(2, dockerd.thaw).start()
    assert engine.ping()


def test_it_works_again_after_the_thaw(dockerd: Dockerd, engine: DockerEngine) -> None:
    dockerd.freeze()
    unavailable(lambda e: e.ping(), engine)
    dockerd.thaw()
    assert engine.ping()
    dockerd.restart()
    assert engine.ping()


def test_a_container_whose_creation_was_not_answered_is_found(dockerd: Dockerd, engine: DockerEngine) -> None:
    wanted = plan(engine.image(IMAGE).id)
    with CutOff(dockerd.url.removeprefix("unix://")) as url:
        identity = DockerEngine(url, NODE, "nvidia", 3).create(wanted)
    assert [seen.id for seen in engine.list()] == [identity]


def test_threads_share_an_engine(engine: DockerEngine) -> None:
    versions: list[str] = []
    threads = [threading.Thread(target=lambda: versions.append(engine.ping())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 8
    assert len(set(versions)) == 1
