"""What is measured: gunicorn with two workers on a private dockerd and etcd, as in the end-to-end tests."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import Server

# Ends at once when told to, so that neither side waits for it.
PATIENT = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]


@contextmanager
def rig() -> Iterator[tuple[Server, Dockerd]]:
    """A server and its dockerd, both gone afterwards."""
    dockerd = Dockerd(Path(tempfile.mkdtemp(prefix="gpudock-bench-", dir="/var/tmp")))
    etcd = EtcdServer()
    dockerd.start()
    etcd.start()
    images.build(dockerd.command)
    server = Server(dockerd, etcd, {"GPUDOCK_GPU_REQUEST": "none", "GPUDOCK_EXEC_TIMEOUT": "300"})
    server.start()
    try:
        yield server, dockerd
    finally:
        server.stop()
        etcd.stop()
        dockerd.stop()


def timed(work: Callable[[], object]) -> float:
    """How many seconds `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def report(what: str, ours: Sequence[float], reference: Sequence[float], goal: float) -> None:
    """Print the medians in milliseconds, their ratio and the goal for it."""
    a, b = statistics.median(ours), statistics.median(reference)
    met = "met" if a <= goal * b else "MISSED"
    print(f"{what:<52} {a * 1000:8.0f} ms / {b * 1000:8.0f} ms = {a / b:5.2f}x  (goal {goal}x: {met})", flush=True)
