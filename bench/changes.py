"""A GPU change against `docker stop` + `cp -a` of the layer + `docker run`, and its downtime against a bare restart."""

import subprocess
from pathlib import Path

from bench.fixtures import PATIENT, report, timed
from bench.restarts import bare_restart, downtime, inspect
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.server import Server

FILL = {
    "empty layer": "true",
    "1 GB in one file": "head -c 1073741824 /dev/urandom >/big",
    "50,000 small files": (
        "i=0; while [ $i -lt 50000 ]; do d=/many/$((i % 200)); [ $i -lt 200 ] && mkdir -p $d; "
        "echo $i >$d/$i; i=$((i + 1)); done"
    ),
}


def measure_changes(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """For each kind of layer, let one container change its GPUs and copy the same layer by hand, by turns."""
    for number, (layer, fill) in enumerate(FILL.items()):
        name = f"change{number}"
        server.create(name, gpuCount=1, cmd=PATIENT)
        server.sh(name, fill)
        ours, by_hand, written, down, restart = [], [], [], [], []
        for n in range(rounds):
            subprocess.run(["sync"], check=True)
            seconds = _by_hand(dockerd, f"{name}-{n}", f"hand{number}x{n}")
            by_hand.append(seconds[0])
            written.append(sum(seconds))
            restart.append(bare_restart(dockerd, f"{name}-{n}"))
            subprocess.run(["sync"], check=True)
            change = {"gpuCount": 2 - n % 2}
            ours.append(timed(lambda: server.data("PATCH", f"/containers/{name}/gpu", change)))  # noqa: B023
            down.append(downtime(dockerd, f"{name}-{n}", f"{name}-{n + 1}"))
        report(f"GPU change, {layer} / stop + cp -a + run", ours, by_hand, 1.2)
        report(f"GPU change, {layer} / stop + cp -a + sync -f + run", ours, written)
        report(f"downtime, {layer} / docker stop + start", down, restart, 1.5)
        server.data("DELETE", f"/containers/{name}", {"force": True, "delEtcdInfoAndVersionRecord": True})


def _by_hand(dockerd: Dockerd, name: str, copy: str) -> tuple[float, float]:
    """Stop the container, copy its layer and run another: what a person would do; then it is started again.

    Returns the seconds for that, and from then on until the copy is on disk, for which a change waits too.
    """
    source = inspect(dockerd, name)["GraphDriver"]["Data"]["UpperDir"]
    target = Path(source).parent / copy

    def work() -> None:
        dockerd.docker("stop", name)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", target], check=True)
        dockerd.docker("run", "-dit", "--name", copy, IMAGE, *PATIENT)

    target.mkdir()
    done = timed(work)
    written = timed(lambda: subprocess.run(["sync", "-f", target], check=True))
    dockerd.docker("start", name)
    return done, written
