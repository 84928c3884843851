"""Creating a container against `docker run -d`."""

from bench.fixtures import PATIENT, report, timed
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.server import Server


def measure_creates(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Alternate both ways, four times as often as `rounds`, and compare the medians."""
    ours, reference = [], []
    for n in range(rounds * 4):
        reference.append(timed(lambda n=n: dockerd.docker("run", "-dit", "--name", f"plain{n}", IMAGE, *PATIENT)))
        ours.append(timed(lambda n=n: server.create(f"create{n}", cmd=PATIENT)))
    report("create / docker run -d", ours, reference, 1.15)
    dockerd.remove_containers()
