"""A running container moves to the resized successor of its volume: the whole call, and how long it is down."""

import subprocess

from bench.fixtures import PATIENT, report, timed
from bench.restarts import bare_restart, downtime
from bench.volume_fixtures import ERASE, data_of, delete, fill_with_many, make
from tests.support.dockerd import Dockerd
from tests.support.server import Server

DEST = "/data"


def measure_moves(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Resize the volume and move the container over, again and again; each move carries the old volume over anew."""
    volume = make(server, "moved", "1GB")
    fill_with_many(data_of(dockerd, volume))
    server.create("mover", binds=[{"src": volume, "dest": DEST}], cmd=PATIENT)
    total, down, restart = [], [], []
    for n in range(rounds):
        server.data("PATCH", f"/volumes/moved-{n}/size", {"size": f"{2 - n % 2}GB"})
        restart.append(bare_restart(dockerd, f"mover-{n}"))
        subprocess.run(["sync"], check=True)
        total.append(timed(lambda: _move(server, n)))  # noqa: B023
        down.append(downtime(dockerd, f"mover-{n}", f"mover-{n + 1}"))
        server.data("DELETE", f"/containers/mover-{n}", ERASE)
        delete(server, f"moved-{n}")
    report("move to the successor, 50,000 files / docker stop + start", total, restart)
    report("downtime of that / docker stop + start", down, restart)


def _move(server: Server, n: int) -> None:
    old, new = ({"src": f"moved-{version}", "dest": DEST} for version in (n, n + 1))
    change = {"type": "volume", "oldBind": old, "newBind": new}
    moved = server.data("PATCH", f"/containers/mover-{n}/volume", change)
    assert moved["merged"] is True, moved
