"""Laboratories whose Docker, etcd, disk and clock may be harmed: everything there is their own."""

import itertools
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from pyetcd import etcdrpc

from tests.faults.lab import Lab, laboratory
from tests.faults.scenarios import Scenario
from tests.faults.trial import Trial
from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer, etcd_cluster
from tests.support.nvml import FakeNvml

MB = 1 << 20
QUOTA = 16 * MB
GPUS = 8
_letters = itertools.cycle("abcdef")
_CLOCK = Path(__file__).parents[1] / "support/clock.c"


@dataclass(frozen=True)
class Site:
    """A laboratory with everything of its own, and the trials that were prepared there, by name."""

    lab: Lab
    etcds: list[EtcdServer]
    trials: dict[str, Trial] = field(default_factory=dict, kw_only=True)

    def trial(self, name: str, scenario: Scenario) -> Trial:
        """The trial of a scenario."""
        return self.trials.get(name) or self.trials.setdefault(name, Trial(self.lab, scenario))


@dataclass(frozen=True)
class RichSite(Site):
    """One with three members of etcd, a Docker with live-restore on a disk of its own (mounted at `disk`), a `clock`
    that can be set, and GPUs that can be lost.
    """

    disk: Path
    clock: Path
    nvml: FakeNvml


@contextmanager
def plain() -> Iterator[Site]:
    """A site with one etcd and simulated GPUs."""
    with ExitStack() as stack:
        dockerd = stack.enter_context(_dockerd(stack.enter_context(_directory())))
        etcds = stack.enter_context(_etcds(1))
        yield Site(stack.enter_context(laboratory(dockerd, etcds, {})), etcds)


@contextmanager
def rich() -> Iterator[RichSite]:
    """A site with everything else."""
    with ExitStack() as stack:
        root = stack.enter_context(_directory())
        disk = stack.enter_context(_disk(root, 700))
        dockerd = stack.enter_context(_dockerd(disk, "--live-restore"))
        etcds, nvml, clock = stack.enter_context(_etcds(3)), _nvml(root), _clock(root)
        settings = {**clock, "GPUDOCK_GPUS": "nvml", **nvml.environ}
        lab = stack.enter_context(laboratory(dockerd, etcds, settings))
        yield RichSite(lab, etcds, disk, Path(clock["CLOCK_OFFSET"]), nvml)


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
    """Forget all past revisions, at once: the space of those that are only marked stays taken."""
    revision = etcdctl(etcd, "get", "/", "--write-out", "fields").split('"Revision" : ')[1].split()[0]
    etcdctl(etcd, "compact", "--physical", revision)


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
def _directory() -> Iterator[Path]:
    """A directory of its own, on a shared mount as it is on any machine with systemd. Otherwise a Docker that starts
    mounts its root over itself, and hides what is mounted there in that moment from whoever wants to look.
    """
    with tempfile.TemporaryDirectory(prefix="gpudock-faults-", dir="/var/tmp") as directory:
        subprocess.run(["mount", "--bind", "--make-shared", directory, directory], check=True)
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def _disk(root: Path, megabytes: int) -> Iterator[Path]:
    image, mount = root / "disk", root / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * MB)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", "--make-shared", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


@contextmanager
def _dockerd(parent: Path, *flags: str) -> Iterator[Dockerd]:
    dockerd = Dockerd(parent / "docker", *flags)
    dockerd.bridge = f"{dockerd.bridge}{next(_letters)}"
    dockerd.root.mkdir()
    dockerd.start()
    try:
        images.build(dockerd.command)
        yield dockerd
    finally:
        dockerd.stop()


def _etcds(count: int) -> AbstractContextManager[list[EtcdServer]]:
    return etcd_cluster(count, "--quota-backend-bytes", str(QUOTA))


def _nvml(root: Path) -> FakeNvml:
    directory = root / "nvml"
    directory.mkdir()
    nvml = FakeNvml(directory)
    nvml.reset(GPUS)
    return nvml


def _clock(root: Path) -> dict[str, str]:
    library, offset = root / "clock.so", root / "offset"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, _CLOCK, "-ldl"], check=True)
    offset.write_bytes(struct.pack("q", 0))
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
