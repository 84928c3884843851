"""A resize against `cp -a` from the old volume's directory to that of an empty volume of the new size."""

import subprocess
from pathlib import Path

from bench.fixtures import report, timed
from bench.volume_fixtures import FILL, data_of, delete, make
from tests.support.dockerd import Dockerd
from tests.support.server import Server

SIZES = ("2GB", "3GB")


def measure_resizes(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Resize a volume that nobody mounts, up and down again, and copy the same by hand, by turns."""
    for number, (content, fill) in enumerate(FILL.items()):
        family = f"resize{number}"
        fill(data_of(dockerd, make(server, family, SIZES[0])))
        ours, copied, written = [], [], []
        for n in range(rounds):
            old, size = f"{family}-{n}", SIZES[(n + 1) % 2]
            empty = make(server, "hand", size)
            seconds = _by_hand(data_of(dockerd, old), data_of(dockerd, empty))
            copied.append(seconds[0])
            written.append(sum(seconds))
            # Each of both comes right after a deletion: what that frees of the cache makes the next copy faster.
            delete(server, empty)
            ours.append(_resize(server, old, size))
            delete(server, old)
        report(f"resize, {content} / cp -a", ours, copied, 1.15)
        report(f"resize, {content} / cp -a + sync -f", ours, written)


def _resize(server: Server, name: str, size: str) -> float:
    subprocess.run(["sync"], check=True)
    return timed(lambda: server.data("PATCH", f"/volumes/{name}/size", {"size": size}))


def _by_hand(source: Path, target: Path) -> tuple[float, float]:
    """Seconds for the copy, and from then on until it is on disk, for which a resize waits too."""
    subprocess.run(["sync"], check=True)
    copied = timed(lambda: subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", target], check=True))
    return copied, timed(lambda: subprocess.run(["sync", "-f", target], check=True))
