"""Signals from a real Docker and a real etcd: what wakes, how soon, and what does not."""

import gc
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from app.adapters.etcd import EtcdStore
from app.adapters.signals import Signals
from app.ports import DOCKER_IS_BACK, Delete, Put
from tests.support.dockerd import NODE, Dockerd
from tests.support.etcd import EtcdServer
from tests.support.images import IMAGE

Listen = Callable[..., Signals]


@pytest.fixture
def listen(dockerd: Dockerd, image: str) -> Iterator[Listen]:
    """Makes signals on `dockerd` and the etcd given that are connected to both; all are closed in the end."""
    made = []

    def to(server: EtcdServer, prefix: str = "/test") -> Signals:
        signals = Signals(dockerd.url, NODE, [server.endpoint], prefix)
        made.append(signals)
        hear(signals, DOCKER_IS_BACK, "etcd connected")
        return signals

    yield to
    for signals in made:
        signals.close()
    dockerd.remove_containers()


@pytest.fixture
def server() -> Iterator[EtcdServer]:
    server = EtcdServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def hear(signals: Signals, *hints: str, within: float = 60) -> None:
    """Wait until each of the hints was given."""
    missing, deadline = set(hints), time.monotonic() + within
    while missing:
        assert time.monotonic() < deadline, f"never heard: {missing}"
        missing -= set((signals.wait(1) or "").split(", "))


def silent(signals: Signals) -> None:
    """Take what came late, until nothing comes for as long as a wait that must not be woken lasts."""
    deadline = time.monotonic() + 20
    while True:
        begun = time.monotonic()
        if signals.wait(0.8) is None:
            assert time.monotonic() - begun >= 0.8
            return
        assert time.monotonic() < deadline, "there is no end of hints"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("/operations/containers/foo", "etcd operations"),
        ("/containers/foo", "etcd containers"),
        ("/volumes/foo/versions/1", "etcd volumes"),
        (f"/gpus/{NODE}/GPU-1", "etcd gpus"),
    ],
)
def test_a_changed_key_wakes_at_once(listen: Listen, etcd_server: EtcdServer, key: str, hint: str) -> None:
    prefix = f"/test-{uuid.uuid4().hex}"
    signals, store = listen(etcd_server, prefix), EtcdStore([etcd_server.endpoint], prefix)
    for write in (Put(key, {"x": 1}), Put(key, {"x": 2}), Delete(key)):
        silent(signals)
        store.transact({}, [write])
        begun = time.monotonic()
        assert signals.wait(10) == hint
        assert time.monotonic() - begun < 5
    store.close()


def test_other_keys_and_prefixes_do_not_wake(listen: Listen, etcd_server: EtcdServer) -> None:
    prefix = f"/test-{uuid.uuid4().hex}"
    signals, store = listen(etcd_server, prefix), EtcdStore([etcd_server.endpoint], prefix)
    silent(signals)
    store.transact({}, [Put(key, {}) for key in ("/history/1", "/idempotency/1", "/meta/schema", "/gpus/other/GPU-1")])
    other = EtcdStore([etcd_server.endpoint], f"{prefix}2")
    other.transact({}, [Put("/containers/foo", {})])
    assert signals.wait(1.5) is None
    store.close()
    other.close()


def test_what_happens_in_docker_wakes_at_once(listen: Listen, etcd_server: EtcdServer, dockerd: Dockerd) -> None:
    signals = listen(etcd_server)
    for command, event in (
        (("create", "--name", "foo", IMAGE, "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"), "create"),
        (("start", "foo"), "start"),
        (("pause", "foo"), "pause"),
        (("unpause", "foo"), "unpause"),
        (("rename", "foo", "bar"), "rename"),
        (("kill", "bar"), "die"),
        (("rm", "bar"), "destroy"),
        (("volume", "create", "vol"), "create"),
        (("volume", "rm", "vol"), "destroy"),
    ):
        silent(signals)
        dockerd.docker(*command)
        begun = time.monotonic()
        hear(signals, f"docker {event}")
        assert time.monotonic() - begun < 10, command


def test_a_command_in_a_container_does_not_wake(listen: Listen, etcd_server: EtcdServer, dockerd: Dockerd) -> None:
    dockerd.docker("run", "-d", "--name", "foo", IMAGE, "sleep", "100")
    signals = listen(etcd_server)
    silent(signals)
    dockerd.docker("exec", "foo", "true")
    assert signals.wait(1.5) is None


def test_a_burst_wakes_twice_a_second_at_most_and_loses_nothing(listen: Listen, etcd_server: EtcdServer) -> None:
    prefix = f"/test-{uuid.uuid4().hex}"
    signals, store = listen(etcd_server, prefix), EtcdStore([etcd_server.endpoint], prefix)
    silent(signals)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.005):
            store.transact({}, [Put("/containers/foo", {}), Put("/volumes/foo", {})])

    writer = threading.Thread(target=write)
    writer.start()
    begun, heard = time.monotonic(), []
    while time.monotonic() < begun + 3:
        heard.append(signals.wait(2))
    stop.set()
    writer.join()
    assert 2 <= len(heard) <= 2 * (time.monotonic() - begun) + 2
    assert {frozenset(str(hints).split(", ")) for hints in heard[1:]} == {
        frozenset(("etcd containers", "etcd volumes"))
    }
    store.close()


@pytest.mark.parametrize(("out", "back"), [("kill", "start"), ("freeze", "thaw")])
def test_etcd_away_and_back(listen: Listen, server: EtcdServer, out: str, back: str) -> None:
    signals, store = listen(server), EtcdStore([server.endpoint], "/test")
    getattr(server, out)()
    silent(signals)
    getattr(server, back)()
    server.wait_healthy()
    store.transact({}, [Put("/containers/foo", {})])
    # A watch that was connected in time reports the key, one that was not says that it is back.
    deadline = time.monotonic() + 15
    while "etcd" not in (signals.wait(1) or ""):
        assert time.monotonic() < deadline
    silent(signals)
    store.transact({}, [Put("/containers/foo", {})])
    assert signals.wait(10) == "etcd containers"
    store.close()


def test_a_docker_that_was_away_is_said_to_be_back(listen: Listen, etcd_server: EtcdServer, dockerd: Dockerd) -> None:
    signals = listen(etcd_server)
    dockerd.kill()
    silent(signals)
    dockerd.start()
    hear(signals, DOCKER_IS_BACK)
    silent(signals)
    dockerd.docker("create", "--name", "foo", IMAGE)
    hear(signals, "docker create")


def test_a_docker_that_hangs_is_noticed_and_said_to_be_back(
    listen: Listen, etcd_server: EtcdServer, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.adapters.signals._SILENCE", 1)
    signals = listen(etcd_server)
    dockerd.freeze()
    deadline = time.monotonic() + 4  # the silence, and a question without an answer
    while time.monotonic() < deadline:
        signals.wait(0.5)
    dockerd.thaw()
    hear(signals, DOCKER_IS_BACK)


def test_a_docker_that_has_nothing_to_say_was_not_away_and_nothing_is_missed(
    listen: Listen, etcd_server: EtcdServer, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.adapters.signals._SILENCE", 1)
    signals = listen(etcd_server)
    heard, deadline = [], time.monotonic() + 4
    while time.monotonic() < deadline:
        heard.append(signals.wait(0.5))
    assert set(heard) <= {None, "docker heard"}
    dockerd.docker("create", "--name", "foo", IMAGE)
    hear(signals, "docker create")


def test_one_member_down_is_not_asked_for_ever(dockerd: Dockerd, etcd_server: EtcdServer) -> None:
    signals = Signals(dockerd.url, NODE, [("127.0.0.1", 1), etcd_server.endpoint], "/test")
    hear(signals, "etcd connected")
    signals.close()


def test_without_docker_and_etcd_it_waits_for_its_time() -> None:
    signals = Signals("unix:///nowhere.sock", NODE, [("127.0.0.1", 1)], "/test")
    begun = time.monotonic()
    assert signals.wait(1.5) is None
    assert 1.5 <= time.monotonic() - begun < 20
    signals.close()
    del signals
    gc.collect()  # the sockets that docker-py could not connect, while their warnings are ignored


def test_close_ends_a_wait_and_the_threads(listen: Listen, etcd_server: EtcdServer) -> None:
    signals = listen(etcd_server)
    silent(signals)
    threading.Timer(0.5, signals.close).start()
    begun = time.monotonic()
    assert signals.wait(30) is None
    assert time.monotonic() - begun < 20
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("signals-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread is left"
        time.sleep(0.05)
