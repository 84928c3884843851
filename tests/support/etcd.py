"""A private etcd for tests, and the fixtures `etcd_server` and `store`."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from pyetcd import etcdrpc

from app.adapters.etcd import EtcdStore


class EtcdServer:
    """An etcd process of our own, on free ports and with its data in a temporary directory.

    Its random name, asked back through its port, proves that it is the one that answers there. `flags` go to
    its command line.
    """

    def __init__(self, *flags: str) -> None:
        self.name = f"test-{uuid.uuid4().hex}"
        self.endpoint = ("127.0.0.1", free_port())
        self._peer = f"http://127.0.0.1:{free_port()}"
        self._flags = flags
        self._cluster = self.member
        self._directory = Path(tempfile.mkdtemp(prefix="gpudock-etcd-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def member(self) -> str:
        """NAME=PEER_URL, as `--initial-cluster` wants it."""
        return f"{self.name}={self._peer}"

    def start(self) -> None:
        """Start it and return once it serves reads."""
        self.launch(self._cluster)
        self.wait_healthy()

    def launch(self, cluster: str) -> None:
        """Start the process only; `cluster` is the value of `--initial-cluster`."""
        self._cluster = cluster
        client = "http://{}:{}".format(*self.endpoint)
        command = [
            *("setpriv", "--pdeathsig", "KILL", _binary(), "--name", self.name),
            *("--data-dir", str(self._directory / "data"), "--unsafe-no-fsync", "--logger", "zap"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer),
            *("--initial-cluster", cluster, *self._flags),
        ]
        with self._log.open("ab") as log:
            # A clean environment: ETCD_* variables would change what is started.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})

    def wait_healthy(self) -> None:
        """Return once it serves linearizable reads and has proven to be ours."""
        _wait(self._answers, 30, f"etcd did not get healthy; see {self._log}")

    def kill(self) -> None:
        """SIGKILL: connections are refused from now on; its data stays."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        _wait(lambda: _all_threads_stopped(process.pid), 5, "etcd did not freeze")

    def thaw(self) -> None:
        """Let it run again."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it if it still runs, then start it with the same data and ports."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self._directory)

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this etcd does not run")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        if self._running().poll() is not None:
            raise RuntimeError(f"etcd ended at once:\n{self._log.read_text()[-2000:]}")
        with grpc.insecure_channel("{}:{}".format(*self.endpoint)) as channel:
            try:
                status = etcdrpc.MaintenanceStub(channel).Status(etcdrpc.StatusRequest(), 1)
                members = etcdrpc.ClusterStub(channel).MemberList(etcdrpc.MemberListRequest(), 1).members
                etcdrpc.KVStub(channel).Range(etcdrpc.RangeRequest(key=b"/"), 1)
            except grpc.RpcError:
                return False
        names = [member.name for member in members if status.header.member_id == member.ID]
        if names != [self.name]:
            raise RuntimeError(f"a foreign etcd answers at {self.endpoint}: {names}")
        return True


@contextmanager
def etcd_cluster(count: int, *flags: str) -> Iterator[list[EtcdServer]]:
    """An etcd of that many members, healthy, with `flags` on each one's command line."""
    etcds = [EtcdServer(*flags) for _ in range(count)]
    try:
        for etcd in etcds:
            etcd.launch(",".join(each.member for each in etcds))
        for etcd in etcds:
            etcd.wait_healthy()
        yield etcds
    finally:
        for etcd in etcds:
            etcd.stop()


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """One etcd for the whole session; tests that harm theirs start their own."""
    server = EtcdServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def store(etcd_server: EtcdServer) -> Iterator[EtcdStore]:
    """The real store, empty, on a prefix of its own."""
    store = EtcdStore([etcd_server.endpoint], f"/test-{uuid.uuid4().hex}")
    yield store
    store.close()


def _binary() -> str:
    return shutil.which("etcd") or pytest.fail("the tests need etcd: apt-get install etcd-server", pytrace=False)


def free_port() -> int:
    """None of those that the kernel gives to connections (32768 and above): one might take it before it is used."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _all_threads_stopped(pid: int) -> bool:
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def _wait(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)
