"""A gpudock that can be killed at chosen points, beside its reconcile process, and what is done with it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
from docker import APIClient

from app.adapters.etcd import EtcdStore
from app.ports import Delete, Entry, Put
from tests.support import images, invariants
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.invariants import Estate, Json
from tests.support.server import PREFIX, ROOT, Server
from tests.support.volumes import remove_everything

Found = TypeVar("Found")
ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}
KEEP = {"force": True, "delEtcdInfoAndVersionRecord": False}
THOROUGH = os.environ.get("GPUDOCK_FAULTS") == "all"
SEED = int(os.environ.get("GPUDOCK_FAULTS_SEED") or random.randrange(1 << 16))
# Seconds: generous, since everything else on the machine may be busy too.
RECOVERY = 40.0
KILL_AT, CALLS = "X-Kill-At", "X-Calls"  # tests.support.killing
ROOTFS = images.rootfs()
_STAMP = 1_600_000_000_123_456_789


class MortalServer(Server):
    """A server with kill points.

    Each worker serves one request at a time, so that a kill hits that one only; and all are forked from a master that
    has loaded everything, so that the next one is there at once.
    """

    def _run(self, *arguments: str) -> Any:
        if "wsgi:app" in arguments:
            options = ("--worker-class", "sync", "--threads", "1", "--workers", "8", "--preload")
            return super()._run(*arguments[:-1], *options, "tests.support.killing:app")
        return super()._run(*("tests.support.killing" if word == "wsgi" else word for word in arguments))

    def reconcile_once(self, kill_at: str | None = None) -> int:
        """The exit code of one pass, with a kill point if wanted."""
        environment = {**self._environment, **({"KILL_AT": kill_at} if kill_at else {})}
        command = [sys.executable, "-m", "flask", "--app", "tests.support.killing", "reconcile", "--once"]
        with self.log.open("ab") as log:
            return subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False).returncode

    def hold_master(self) -> None:
        """From now on nobody takes a killed worker's place."""
        self._signal(signal.SIGSTOP)

    def let_master_go(self) -> None:
        """End of that."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@dataclass(frozen=True)
class Lab:
    """The server and what it works with. The one `theirs` is what others have beside it, as it was at the beginning."""

    server: MortalServer
    dockerd: Dockerd
    store: EtcdStore
    etcds: Sequence[EtcdServer]
    theirs: list[str]

    def call(self, call: "Call", kill_at: str | None = None) -> requests.Response:
        """Make a call, with a kill point if wanted."""
        return self.server.call(*call, headers={KILL_AT: kill_at} if kill_at else {})

    def must(self, *call: Any) -> Any:
        """The data of a call that must succeed."""
        answer = self.server.call(*call)
        assert answer.status_code == 200, f"{call} answers {answer.text}\n{self.server.log.read_text()[-5000:]}"
        return answer.json()["data"]

    def stopped(self, *families: str) -> Entry | None:
        """The operation on one of these families whose process is stopped, as soon as there is one."""
        entries = [entry for entry in self.store.list("/operations/") if entry.value["family"] in families]
        return next((entry for entry in entries if _state(pid_of(entry)) == "T"), None)

    def disown(self, operation: Entry) -> None:
        """Let an operation look as if its process were gone, and return once somebody has brought it to its end."""
        gone = Put(operation.key, {**operation.value, "owner": "gone"})
        assert self.store.transact({operation.key: operation.revision}, [gone])
        wait_for(lambda: self.store.get(operation.key) is None, RECOVERY, "the end of its operation")

    def look(self, family: str | None = None) -> Estate:
        """Everything there is; of containers those of one family only, if given."""
        return invariants.look(self.dockerd, self.store, family)

    def running(self, *families: str) -> list[str]:
        """The keys of operations under way, of these families only if some are given."""
        keys = [entry.key for entry in self.store.list("/operations/")]
        return [key for key in keys if not families or key.rpartition("/")[2] in families]

    def inspect(self, container: str) -> Json:
        """Docker's inspect of a container."""
        client = APIClient(base_url=self.dockerd.url, version="1.41", timeout=20)
        try:
            found: Json = client.inspect_container(container)
        finally:
            client.close()
        return found

    def root(self, container: str) -> Path:
        """The root directory that a running container sees."""
        return Path(f"/proc/{self.inspect(container)['State']['Pid']}/root")

    def volume(self, name: str) -> Path:
        """The directory of a volume's data."""
        raw = json.loads(self.dockerd.docker("volume", "inspect", name))[0]
        return Path((raw["Options"] or {}).get("device") or raw["Mountpoint"])

    def furnish(self, container: str, text: str) -> None:
        """Let a running container have written, deleted and marked files."""
        root = self.root(container)
        furnish(root / "root", text)
        (root / "etc/group").unlink(missing_ok=True)

    def import_image(self, name: str, change: str) -> None:
        """Give Docker an image that is like no other."""
        changes = (f"--change={line}" for line in (change, f"LABEL for={name}", 'CMD ["sh"]'))
        command = [*self.dockerd.command, "import", *changes, "-", name]
        subprocess.run(command, input=ROOTFS, check=True, stdout=subprocess.DEVNULL)

    def untouched(self) -> list[str]:
        """What is wrong with the things of others."""
        now = theirs(self.dockerd)
        return [] if [now] == self.theirs else [f"somebody else's things were {self.theirs}, and are {now}"]

    def begin_anew(self) -> None:
        """Let others start their container again, if it ended with Docker, and begin to compare from here on."""
        self.dockerd.docker("start", "bystander")
        self.theirs[:] = [theirs(self.dockerd)]

    def settled(self) -> list[str]:
        """What is still wrong after the time that recovery may take; at once when nothing is."""
        return until_empty(lambda: invariants.violations(self.look()))


Call = tuple[str, str, Any]


@contextmanager
def laboratory(dockerd: Dockerd, etcds: Sequence[EtcdServer], settings: Mapping[str, str]) -> Iterator[Lab]:
    """A gpudock with kill points and its reconcile process, beside a container and a volume of somebody else.

    `dockerd` must have the image. Everything of gpudock's is gone in the end.
    """
    endpoints = [etcd.endpoint for etcd in etcds]
    addresses = ",".join(f"{host}:{port}" for host, port in endpoints)
    server = MortalServer(dockerd, etcds[0], {"GPUDOCK_ETCD": addresses, "GPUDOCK_GPUS": "simulated:64", **settings})
    script = "echo precious >/data/file; exec sleep 1000000"
    dockerd.docker("run", "-d", "--init", "-v", "theirs:/data", "--name", "bystander", images.IMAGE, "sh", "-c", script)
    store = EtcdStore(endpoints, PREFIX)
    wait_for(lambda: "precious" in dockerd.docker("exec", "bystander", "cat", "/data/file"))
    server.start()
    server.start_reconcile()
    try:
        yield Lab(server, dockerd, store, etcds, [theirs(dockerd)])
    finally:
        server.stop()
        store.transact({}, [Delete("/", prefix=True)])
        store.close()
        remove_everything(dockerd)


def theirs(dockerd: Dockerd) -> str:
    """The container of somebody else, and what is in their volume; also whether it runs, and since when."""
    form = "{{.Id}} {{.Name}} {{.State.Status}} {{.State.StartedAt}}"
    volume = Path(dockerd.docker("volume", "inspect", "--format", "{{.Mountpoint}}", "theirs"))
    return f"{dockerd.docker('inspect', '--format', form, 'bystander')} {(volume / 'file').read_text()}"


def furnish(directory: Path, text: str) -> None:
    """Put files with `text`, a link and an extended attribute into a directory, always with the same times."""
    (directory / "below").mkdir(exist_ok=True)
    for name in ("file", "below/other"):
        (directory / name).write_text(f"{name}: {text}\n" * 100)
        os.setxattr(directory / name, "user.note", text.encode())
        os.utime(directory / name, ns=(_STAMP, _STAMP))
    (directory / "link").unlink(missing_ok=True)
    (directory / "link").symlink_to(f"nowhere/{text}")


def fill(path: Path, megabytes: int) -> None:
    """Make a file of that size, always with the same content and times."""
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(bytes([number % 256]) * (1 << 20))
    os.utime(path, ns=(_STAMP, _STAMP))


def until_empty(wrong: Callable[[], list[str]], seconds: float = RECOVERY) -> list[str]:
    """What is wrong: nothing as soon as that is so, else what it still is when the time is up."""
    deadline = time.monotonic() + seconds
    while (found := wrong()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def pid_of(operation: Entry) -> int:
    """The process that an operation's record names."""
    return int(operation.value["owner"].split("/")[1])


def _state(pid: int) -> str:
    """The state of a process as in /proc/PID/stat, "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for(condition: Callable[[], Found], seconds: float = RECOVERY, what: str = "it") -> Found:
    """What the condition gives as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)
    return found
