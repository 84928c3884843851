"""A GPU change against `docker stop` + `cp -a` of the layer + `docker run`, and its downtime against a bare restart."""

import json
import subprocess
from datetime import datetime
from pathlib import Path

from bench.rig import PATIENT, report, timed
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
        ours, reference, downtime, restart = [], [], [], []
        for n in range(rounds):
            subprocess.run(["sync"], check=True)
            reference.append(_by_hand(dockerd, f"{name}-{n}", f"hand{number}x{n}"))
            restart.append(_bare_restart(dockerd, f"{name}-{n}"))
            subprocess.run(["sync"], check=True)
            change = {"gpuCount": 2 - n % 2}
            ours.append(timed(lambda: server.data("PATCH", f"/containers/{name}/gpu", change)))  # noqa: B023
            downtime.append(_downtime(dockerd, f"{name}-{n}", f"{name}-{n + 1}"))
        report(f"GPU change, {layer} / stop + cp -a + run", ours, reference, 1.2)
        report(f"downtime, {layer} / docker stop + start", downtime, restart, 1.5)
        server.data("DELETE", f"/containers/{name}", {"force": True, "delEtcdInfoAndVersionRecord": True})


def _by_hand(dockerd: Dockerd, name: str, copy: str) -> float:
    """Stop the container, copy its layer and run another: what a person would do; then it is started again."""
    source = _inspect(dockerd, name)["GraphDriver"]["Data"]["UpperDir"]
    target = Path(source).parent / copy

    def work() -> None:
        dockerd.docker("stop", name)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", target], check=True)
        dockerd.docker("run", "-dit", "--name", copy, IMAGE, *PATIENT)

    target.mkdir()
    seconds = timed(work)
    dockerd.docker("start", name)
    return seconds


def _bare_restart(dockerd: Dockerd, name: str) -> float:
    return timed(lambda: (dockerd.docker("stop", name), dockerd.docker("start", name)))


def _downtime(dockerd: Dockerd, old: str, new: str) -> float:
    """Seconds from the end of the old container's process to the start of the new one's, by Docker's clock."""
    ended = datetime.fromisoformat(_inspect(dockerd, old)["State"]["FinishedAt"])
    return (datetime.fromisoformat(_inspect(dockerd, new)["State"]["StartedAt"]) - ended).total_seconds()


def _inspect(dockerd: Dockerd, name: str) -> dict[str, dict[str, dict[str, str]]]:
    return dict(json.loads(dockerd.docker("inspect", name))[0])
