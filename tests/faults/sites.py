"""Laboratories whose Docker, etcd, disk and clock may be harmed: everything there is their own."""

import itertools
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from pyetcd import etcdrpc

from tests.faults.lab import Lab, laboratory
from tests.faults.scenarios import Scenario
from tests.faults.trial import Trial
from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer

MB = 1 << 20
QUOTA = 16 * MB
_CLOCK = Path(__file__).parents[1] / "support/clock.c"


@dataclass(frozen=True)
class Site:
    """A laboratory, its members of etcd, the mount point of a disk of its own, and its clock's offset.

    `trials` are those that were prepared there, by name.
    """

    lab: Lab
    etcds: list[EtcdServer]
    disk: Path | None = None
    clock: Path | None = None
    trials: dict[str, Trial] = field(default_factory=dict)

    def trial(self, name: str, scenario: Scenario) -> Trial:
        """The trial of a scenario."""
        return self.trials.get(name) or self.trials.setdefault(name, Trial(self.lab, scenario))


@contextmanager
def site(kind: str) -> Iterator[Site]:
    """A site of a kind: plain, live-restore (of Docker), cluster (of three etcds), small (disk), clock."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpudock-faults-", dir="/var/tmp")))
        disk = stack.enter_context(_disk(root, 700)) if kind == "small" else None
        dockerd = stack.enter_context(_dockerd(disk or root, *(["--live-restore"] if kind == "live-restore" else [])))
        etcds = stack.enter_context(_etcds(3 if kind == "cluster" else 1))
        settings = _clock(root) if kind == "clock" else {}
        lab = stack.enter_context(laboratory(dockerd, etcds, settings))
        yield Site(lab, etcds, disk, Path(settings["CLOCK_OFFSET"]) if settings else None)


def leader(etcds: list[EtcdServer]) -> EtcdServer:
    """The member that leads; they must be healthy."""
    for etcd in etcds:
        with grpc.insecure_channel("{}:{}".format(*etcd.endpoint)) as channel:
            status = etcdrpc.MaintenanceStub(channel).Status(etcdrpc.StatusRequest(), 2)
        if status.leader == status.header.member_id:
            return etcd
    raise AssertionError("there is no leader")


def etcdctl(etcd: EtcdServer, *arguments: str) -> str:
    """What etcdctl prints."""
    command = ["etcdctl", "--endpoints", "{}:{}".format(*etcd.endpoint), *arguments]
    environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def compact(etcd: EtcdServer) -> None:
    """Forget all past revisions."""
    etcdctl(etcd, "compact", etcdctl(etcd, "get", "/", "--write-out", "fields").split('"Revision" : ')[1].split()[0])


def fill(etcd: EtcdServer) -> None:
    """Write until it takes no more, which it notices a little late."""
    deadline = time.monotonic() + 20
    with grpc.insecure_channel("{}:{}".format(*etcd.endpoint)) as channel:
        store = etcdrpc.KVStub(channel)
        for number in itertools.count():
            assert time.monotonic() < deadline, "it takes everything"
            try:
                store.Put(etcdrpc.PutRequest(key=b"/filler/%d" % number, value=bytes(500_000)), 5)
            except grpc.RpcError as exc:
                assert "database space exceeded" in str(exc)
                return


def make_room(etcd: EtcdServer) -> None:
    """What an operator does then."""
    etcdctl(etcd, "del", "--prefix", "/filler/")
    compact(etcd)
    etcdctl(etcd, "defrag")
    etcdctl(etcd, "alarm", "disarm")


def take_room(disk: Path, leave: int) -> None:
    """Take all of a disk's room but `leave` bytes, at once."""
    status = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave)


def step_clock(clock: Path, seconds: int) -> None:
    """Set gpudock's wall clock that much ahead of, or behind, the machine's."""
    with clock.open("r+b") as file:
        file.write(struct.pack("q", seconds))


@contextmanager
def _disk(root: Path, megabytes: int) -> Iterator[Path]:
    image, mount = root / "disk", root / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * MB)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


@contextmanager
def _dockerd(parent: Path, *flags: str) -> Iterator[Dockerd]:
    dockerd = Dockerd(parent / "docker", *flags)
    dockerd.bridge = f"{dockerd.bridge}f"
    dockerd.root.mkdir()
    dockerd.start()
    try:
        images.build(dockerd.command)
        yield dockerd
    finally:
        dockerd.stop()


@contextmanager
def _etcds(count: int) -> Iterator[list[EtcdServer]]:
    etcds = [EtcdServer("--quota-backend-bytes", str(QUOTA)) for _ in range(count)]
    try:
        for etcd in etcds:
            etcd.launch(",".join(each.member for each in etcds))
        for etcd in etcds:
            etcd.wait_healthy()
        yield etcds
    finally:
        for etcd in etcds:
            etcd.stop()


def _clock(root: Path) -> dict[str, str]:
    library, offset = root / "clock.so", root / "offset"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, _CLOCK, "-ldl"], check=True)
    offset.write_bytes(struct.pack("q", 0))
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
