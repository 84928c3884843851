"""`make run` and `make stop` on private ports, directories and daemons; the machine's own are never touched."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.nvml import FakeNvml

Found = TypeVar("Found")
ROOT = Path(__file__).parents[2]

# Under `make test` the inner make would speak as make[1] and say which directories it enters and leaves.
_NOT_OURS = ("GPUDOCK_", "DOCKER_", "MAKE", "MFLAGS")


class Place:
    """A run directory, a state directory and ports of its own, and `make` with the settings for them."""

    def __init__(self, root: Path) -> None:
        self.run_dir = root / "run"
        self.bind = f"127.0.0.1:{free_port()}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        self.env = kept | {
            "GPUDOCK_RUN_DIR": str(self.run_dir),
            "GPUDOCK_STATE_DIR": str(root / "state"),
            "GPUDOCK_BIND": self.bind,
            "GPUDOCK_ETCD": f"127.0.0.1:{free_port()}",
            "GPUDOCK_GPUS": "simulated:4",
            "DOCKER_HOST": f"unix://{root}/sock",
        }

    def make(self, goal: str) -> subprocess.CompletedProcess[str]:
        """Run `make GOAL` to its end."""
        return subprocess.run(
            ["make", goal], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False, timeout=240
        )

    def run(self) -> str:
        """What a successful `make run` prints."""
        done = self.make("run")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self) -> dict[str, int]:
        """The pids of what was started here, by name."""
        return {file.stem: int(file.read_text().split()[0]) for file in self.run_dir.glob("*.pid")}

    def docker(self, *args: str) -> str:
        """The docker command line on this place's daemon."""
        return subprocess.run(["docker", *args], env=self.env, check=True, capture_output=True, text=True).stdout


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait_for(condition: Callable[[], Found]) -> Found:
    """What the condition gives as soon as that is something."""
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place where nothing runs yet."""
    made = Place(tmp_path)
    yield made
    made.make("stop")


@pytest.fixture
def shared(place: Place, dockerd: Dockerd, image: str, etcd_server: EtcdServer) -> Place:
    """A place where Docker and etcd run already, started by somebody else."""
    place.env |= {"DOCKER_HOST": dockerd.url, "GPUDOCK_ETCD": "{}:{}".format(*etcd_server.endpoint)}
    place.env["GPUDOCK_PREFIX"] = f"/make-run-{os.getpid()}"
    return place


@pytest.fixture
def bare(place: Place) -> Iterator[Place]:
    """A place that must start a dockerd, with everything of its own: a bridge too, or it would take docker0."""
    root, bridge = Path(tempfile.mkdtemp(prefix="gpudock-run-", dir="/var/tmp")), f"gdr{os.getpid()}"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["ip", "addr", "add", "10.214.7.1/24", "dev", bridge], check=True)
    place.env["DOCKER_HOST"] = f"unix://{root}/sock"
    place.env["GPUDOCK_DOCKERD_ARGS"] = (
        f"--data-root {root}/data --exec-root {root}/exec --pidfile {root}/pid --storage-driver overlay2 "
        f"--bridge {bridge} --iptables=false --ip-masq=false --ip-forward=false"
    )
    yield place
    place.make("stop")
    subprocess.run(["ip", "link", "delete", bridge], check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)


def test_from_nothing_to_a_container_with_the_printed_command(bare: Place) -> None:
    printed = bare.run()
    command = printed[printed.index("  curl") :]

    answer = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout

    assert json.loads(answer)["data"]["name"] == "hello-0"
    assert bare.docker("ps", "--format", "{{.Names}}").split() == ["hello-0"]
    assert set(bare.processes()) == {"gunicorn", "reconcile", "dockerd", "etcd"}
    assert stat.S_IMODE((bare.run_dir / "token").stat().st_mode) == 0o600

    assert bare.make("stop").returncode == 0
    assert bare.processes() == {}
    assert not answers(bare.bind)
    assert not answers(bare.env["GPUDOCK_ETCD"])


def test_running_it_again_does_nothing_and_disturbs_nothing(shared: Place) -> None:
    first, processes = shared.run(), shared.processes()

    second = shared.run()

    assert not re.search("gpudock: (installing|starting|imported)", second)
    assert shared.processes() == processes
    assert second[second.index("gpudock runs") :] == first[first.index("gpudock runs") :]


def test_docker_and_etcd_that_ran_before_are_used_and_left_alone(
    shared: Place, dockerd: Dockerd, etcd_server: EtcdServer
) -> None:
    shared.run()
    assert set(shared.processes()) == {"gunicorn", "reconcile"}

    assert shared.make("stop").returncode == 0

    assert not answers(shared.bind)
    assert dockerd.docker("info", "--format", "{{.DockerRootDir}}") == str(dockerd.data)
    assert answers("{}:{}".format(*etcd_server.endpoint))


def test_a_killed_reconcile_process_comes_back(shared: Place) -> None:
    shared.run()
    supervisor = shared.processes()["reconcile"]

    def child() -> int | None:
        found = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in found}
        return next((pid for pid, command in commands.items() if "flask" in command), None)

    first = wait_for(child)
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: (now := child()) != first and now)
    assert second and shared.processes()["reconcile"] == supervisor
    assert shared.make("stop").returncode == 0 and shared.processes() == {}
    ended = Path(f"/proc/{second}/cmdline")
    assert not ended.exists() or not ended.read_text(), "it runs on, or nobody waited for it"


def test_a_killed_service_comes_back(shared: Place) -> None:
    shared.run()
    killed = shared.processes()["gunicorn"]
    os.kill(killed, signal.SIGKILL)
    while answers(shared.bind):  # the workers notice within a second that their master is gone
        time.sleep(0.05)

    shared.run()

    assert shared.processes()["gunicorn"] != killed
    assert answers(shared.bind)


def test_a_port_that_somebody_else_has_is_named(shared: Place) -> None:
    with socket.create_server(tuple_of(shared.bind)):
        done = shared.make("run")

    assert done.returncode != 0
    assert f"something else listens on {shared.bind}" in done.stderr
    assert shared.processes() == {}


def test_where_nvml_answers_its_gpus_are_served(shared: Place, nvml_library: FakeNvml) -> None:
    nvml_library.reset(gpus=3)
    shared.env |= {**nvml_library.environ, "GPUDOCK_GPU_REQUEST": "none", "GPUDOCK_TOKEN": "sixteen-characters"}
    del shared.env["GPUDOCK_GPUS"]

    shared.run()

    ask = ["curl", "-sS", f"http://{shared.bind}/api/v1/gpus", "-H", "Authorization: Bearer sixteen-characters"]
    answer = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    assert set(json.loads(answer)["data"]["gpuStatus"]) == {nvml_library.uuid(index) for index in range(3)}
    assert not (shared.run_dir / "token").exists()


def test_stop_spares_a_process_that_has_only_the_number_of_ours(place: Place) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        place.run_dir.mkdir()
        (place.run_dir / "gunicorn.pid").write_text(f"{stranger.pid} 1 {boot}\n")

        stopped = place.make("stop")
        still_there = stranger.poll() is None
        stranger.kill()

    assert stopped.returncode == 0
    assert still_there


def test_a_service_that_cannot_start_says_why_and_leaves_nothing_behind(shared: Place) -> None:
    shared.env["GPUDOCK_PORT_RANGE"] = "everything"

    done = shared.make("run")

    assert done.returncode != 0
    assert re.search(r"GPUDOCK_PORT_RANGE.*LOW-HIGH", done.stderr)
    assert shared.processes() == {}
    assert not answers(shared.bind)


def tuple_of(address: str) -> tuple[str, int]:
    """("127.0.0.1", 80) of "127.0.0.1:80"."""
    host, _, port = address.rpartition(":")
    return host, int(port)
