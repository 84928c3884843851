"""gunicorn with two workers over the tests' own dockerd and etcd: gpudock as its callers meet it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from app.adapters.etcd import EtcdStore
from app.ports import Delete
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer, free_port
from tests.support.volumes import remove_everything

ROOT = Path(__file__).parents[2]
PREFIX = "/e2e"
TOKEN = "0123456789abcdef-test-token"


class Server:
    """A running gpudock. `settings` are environment variables on top of the usual ones of the tests."""

    def __init__(self, dockerd: Dockerd, etcd: EtcdServer, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(tempfile.mkdtemp(prefix="gpudock-server-")) / "log"
        self.binds = Path(tempfile.mkdtemp(prefix="gpudock-binds-"))
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GPUDOCK_")},
            "DOCKER_HOST": dockerd.url,
            "GPUDOCK_ETCD": "{}:{}".format(*etcd.endpoint),
            "GPUDOCK_PREFIX": PREFIX,
            "GPUDOCK_NODE": "test-node",
            "GPUDOCK_GPUS": "simulated:8",
            "GPUDOCK_GPU_REQUEST": "nvidia",
            "GPUDOCK_BIND_ROOTS": str(self.binds),
            "GPUDOCK_BIND": f"127.0.0.1:{self.port}",
            "GPUDOCK_STOP_TIMEOUT": "3",
            "GPUDOCK_EXEC_TIMEOUT": "30",
            "GPUDOCK_VOLUMES": "loop",
            "GPUDOCK_TOKEN": TOKEN,
            "TMPDIR": str(self.log.parent),  # what a killed one leaves behind goes with the rest
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._reconcile: subprocess.Popen[bytes] | None = None

    def start_reconcile(self) -> None:
        """Start the process that reconciles, beside the server."""
        self._reconcile = self._run("-m", "flask", "--app", "wsgi", "reconcile")

    def kill_reconcile(self) -> None:
        """End it the hard way, if it runs."""
        if self._reconcile is not None:
            self._reconcile.kill()
            self._reconcile.wait()
            self._reconcile = None

    def command(self, *arguments: str) -> str:
        """What a `flask` command prints; it must succeed."""
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def start(self) -> None:
        """Start it and return once it answers."""
        self._process = self._run("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app")
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, f"gunicorn ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"gunicorn does not answer:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it, its workers and its reconcile process the hard way; `start` brings it back."""
        self.kill_reconcile()
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """Ask it to end, as a service manager does, and return once it and its workers have."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)
        self._process = None

    def stop(self) -> None:
        """End it and its workers, and delete its directories."""
        self.kill()
        shutil.rmtree(self.log.parent)
        shutil.rmtree(self.binds)

    def kill_workers(self) -> None:
        """Kill every worker the hard way; gunicorn's master starts others."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        for pid in children.split():
            os.kill(int(pid), signal.SIGKILL)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Make a call with the token; `path` begins after /api/v1 unless it is absolute like /readyz."""
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        url = self.url + (path if path in ("/readyz", "/healthz") else f"/api/v1{path}")
        return requests.request(method, url, json=body, headers=headers, timeout=120, **options)

    def data(self, method: str, path: str, body: Any = None) -> Any:
        """The data of a call that must succeed."""
        response = self.call(method, path, body)
        assert response.status_code == 200, response.text
        assert response.json()["code"] == 200 and response.json()["msg"] == "success", response.text
        return response.json()["data"]

    def create(self, name: str, **fields: Any) -> dict[str, str]:
        """Create a busybox container that runs a shell, and return its id and name."""
        made: dict[str, str] = self.data(
            "POST", "/containers", {"imageName": "busybox:test", "containerName": name, **fields}
        )
        return made

    def sh(self, name: str, script: str) -> str:
        """What a shell script prints in the container; it must succeed."""
        result = self.data("POST", f"/containers/{name}/execute", {"cmd": ["sh", "-c", script]})
        assert result["exitCode"] == 0, result
        return str(result["stdout"])

    def in_use(self) -> set[str]:
        """The UUIDs of the GPUs in use."""
        return {uuid for uuid, used in self.data("GET", "/gpus")["gpuStatus"].items() if used}

    def _run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command, environment = [sys.executable, *arguments], self._environment
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except (requests.ConnectionError, requests.Timeout):  # workers are loading
            return False


@pytest.fixture(scope="session")
def server_settings() -> dict[str, str]:
    """Environment variables of the shared server on top of the usual ones."""
    return {}


@pytest.fixture(scope="session")
def shared_server(
    dockerd: Dockerd, image: str, etcd_server: EtcdServer, server_settings: dict[str, str]
) -> Iterator[Server]:
    """One server for all tests that leave its parts alive."""
    server = Server(dockerd, etcd_server, server_settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def api(shared_server: Server, dockerd: Dockerd, etcd_server: EtcdServer) -> Iterator[Server]:
    """The shared server with nothing in it; what the test left is removed."""
    yield shared_server
    remove_everything(dockerd)
    store = EtcdStore([etcd_server.endpoint], PREFIX)
    store.transact({}, [Delete("/", prefix=True)])
