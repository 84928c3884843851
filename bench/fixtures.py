"""What is measured: gunicorn with two workers on a private dockerd and etcd, as in the end-to-end tests."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import Server

# Ends at once when told to, so that neither side waits for it.
PATIENT = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]

# A volume with a filesystem of its own works on every host, and costs more than a quota.
SETTINGS = {"GPUDOCK_GPU_REQUEST": "none", "GPUDOCK_EXEC_TIMEOUT": "300", "GPUDOCK_VOLUMES": "loop"}


@contextmanager
def fixtures() -> Iterator[tuple[Server, Dockerd]]:
    """A server and its dockerd, both gone afterwards."""
    with ExitStack() as undo:
        dockerd = Dockerd(Path(tempfile.mkdtemp(prefix="gpudock-bench-", dir="/var/tmp")))
        undo.callback(dockerd.stop)
        dockerd.start()
        etcd = EtcdServer()
        undo.callback(etcd.stop)
        etcd.start()
        images.build(dockerd.command)
        server = Server(dockerd, etcd, SETTINGS)
        undo.callback(server.stop)
        server.start()
        yield server, dockerd


def timed(work: Callable[[], object]) -> float:
    """How many seconds `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def report(what: str, ours: Sequence[float], reference: Sequence[float], goal: float | None = None) -> None:
    """Print the medians in milliseconds, their ratio and the goal for it, if there is one."""
    a, b = statistics.median(ours), statistics.median(reference)
    verdict = "no goal" if goal is None else f"goal {goal}x: {'met' if a <= goal * b else 'MISSED'}"
    print(f"{what:<60} {a * 1000:8.0f} ms / {b * 1000:8.0f} ms = {a / b:5.2f}x  ({verdict})", flush=True)
