"""A private Docker daemon for the tests: own data, socket and bridge, and a stub of NVIDIA's hook."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import images

if TYPE_CHECKING:
    from tests.support.engine import DockerEngine

HOOKS = Path(__file__).parent / "hook"
NODE = "test-node"


class Dockerd:
    """A Docker daemon with everything of its own under `root`, which must be on a disk that overlay2 works on.

    `kill` and `freeze` are for tests of outages; the containers outlive a kill. `flags` go to its command line.
    """

    def __init__(self, root: Path, *flags: str) -> None:
        self.root = root
        self._flags = flags
        self.url = f"unix://{root}/sock"
        self.data = root / "data"
        self.log = root / "log"
        # A daemon without a bridge of its own would share, or delete, the docker0 of the host's daemon.
        self.bridge = f"gdt{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it answers."""
        self._make_bridge()
        paths = [f"--data-root={self.data}", f"--exec-root={self.root}/exec", f"--pidfile={self.root}/pid"]
        network = ["--bridge", self.bridge, "--iptables=false", "--ip-masq=false", "--ip-forward=false"]
        hooks = shutil.copytree(HOOKS, self.root / "hook", dirs_exist_ok=True)
        environment = {**os.environ, "PATH": f"{hooks}:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", "-H", self.url, "--storage-driver=overlay2", *paths, *network, *self._flags],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._wait_until_up()

    def kill(self) -> None:
        """End it the hard way; its containers stay for `start` to find."""
        process = self._running()
        containerd_pid = self.root / "exec/containerd/containerd.pid"
        containerd = os.pidfd_open(int(containerd_pid.read_text()))
        process.kill()
        process.wait()
        # Its containerd is killed with it, a little later; a dockerd started meanwhile would wait for the dying one.
        select.select([containerd], [], [], 10)
        os.close(containerd)
        for pid_file in (self.root / "pid", containerd_pid):
            pid_file.unlink(missing_ok=True)
        self._process = None

    def freeze(self) -> None:
        """Make it hang: connections are accepted by the kernel and never answered."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        while not _all_threads_stopped(process.pid):  # until then it may still answer
            time.sleep(0.01)

    def thaw(self) -> None:
        """End a freeze."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in the orderly way, as a service manager does, and start it again."""
        self._terminate()
        self.start()

    def stop(self) -> None:
        """Remove its containers, end it and delete everything that it made."""
        if self._process is None:
            self.start()
        self.thaw()
        self.remove_containers()
        self._terminate()
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        _unmount_below(self.root)
        shutil.rmtree(self.root)

    def docker(self, *args: str) -> str:
        """Run the docker command line on it and return what it prints, without the last newline."""
        command = [*self.command, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def remove_containers(self) -> None:
        """Remove every container with its anonymous volumes, running or not."""
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "-fv", *containers)

    @property
    def command(self) -> list[str]:
        """The docker command line on this daemon."""
        return ["docker", "-H", self.url]

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "dockerd was not started"
        return self._process

    def _terminate(self) -> None:
        process = self._running()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        info = [*self.command, "info", "--format", "{{.DockerRootDir}}"]
        # While it starts it may answer, and say nothing.
        while not (done := subprocess.run(info, capture_output=True, text=True, check=False)).stdout.strip():
            assert self._running().poll() is None, f"dockerd ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"dockerd does not answer:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        # Everything after this writes, so it must be proven that this daemon is the one that was started here.
        assert done.stdout.strip() == str(self.data), f"another daemon answers on {self.url}"

    def _make_bridge(self) -> None:
        if Path(f"/sys/class/net/{self.bridge}").exists():
            return
        used = subprocess.run(["ip", "-4", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        subnet = next(n for n in range(os.getpid() % 200 + 20, 255) if f" 10.213.{n}." not in used)
        for args in (["add", self.bridge, "type", "bridge"], ["set", self.bridge, "up"]):
            subprocess.run(["ip", "link", *args], check=True)
        subprocess.run(["ip", "addr", "add", f"10.213.{subnet}.1/24", "dev", self.bridge], check=True)


def _all_threads_stopped(pid: int) -> bool:
    stats = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def _unmount_below(root: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let docker-py forget a Unix socket that it could not connect, since it does not close it; no other socket."""
    never_connected = r"unclosed <socket.socket fd=\d+, family=1, type=1, proto=0>"
    config.addinivalue_line("filterwarnings", f"ignore:{never_connected}:ResourceWarning")


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """The tests' own Docker daemon; it needs root, dockerd, iproute2 and a disk that overlay2 works on."""
    for program in ("dockerd", "docker", "ip", "busybox"):
        assert shutil.which(program), f"{program} is missing: apt-get install docker.io iproute2 busybox-static"
    assert os.geteuid() == 0, "the tests of the Docker adapter start a Docker daemon, for which they must be root"
    daemon = Dockerd(Path(tempfile.mkdtemp(prefix="gpudock-", dir="/var/tmp")))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def image(dockerd: Dockerd) -> str:
    """The name of the busybox image, built in `dockerd`; images.VOLUME_IMAGE is there as well."""
    images.build(dockerd.command)
    return images.IMAGE


@pytest.fixture
def engine(dockerd: Dockerd, image: str) -> Iterator["DockerEngine"]:
    """The real engine adapter on `dockerd`; every container and volume is removed after the test."""
    from tests.support.engine import DockerEngine
    from tests.support.volumes import remove_everything

    yield DockerEngine(dockerd.url, node=NODE, gpu_request="nvidia", stop_timeout=3)
    remove_everything(dockerd)
