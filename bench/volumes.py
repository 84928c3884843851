"""Volumes: how long a resize, a write inside one and the move of a container to a resized one take."""

from bench.moves import measure_moves
from bench.resizes import measure_resizes
from bench.volume_fixtures import nothing_left
from bench.writes import measure_writes
from tests.support.dockerd import Dockerd
from tests.support.server import Server


def measure_volumes(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Measure one after the other, and leave no volume behind."""
    for measure in (measure_resizes, measure_writes, measure_moves):
        with nothing_left(server, dockerd):
            measure(server, dockerd, rounds)
