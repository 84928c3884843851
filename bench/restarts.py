"""How long a container is down: at a change, and at a bare restart."""

import json
from datetime import datetime
from typing import Any

from bench.fixtures import timed
from tests.support.dockerd import Dockerd


def bare_restart(dockerd: Dockerd, name: str) -> float:
    """Seconds that `docker stop` and `docker start` take."""
    return timed(lambda: (dockerd.docker("stop", name), dockerd.docker("start", name)))


def downtime(dockerd: Dockerd, old: str, new: str) -> float:
    """Seconds from the end of the old container's process to the start of the new one's, by Docker's clock."""
    ended = datetime.fromisoformat(inspect(dockerd, old)["State"]["FinishedAt"])
    return (datetime.fromisoformat(inspect(dockerd, new)["State"]["StartedAt"]) - ended).total_seconds()


def inspect(dockerd: Dockerd, name: str) -> dict[str, Any]:
    """What Docker says of a container."""
    return dict(json.loads(dockerd.docker("inspect", name))[0])
