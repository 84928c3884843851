"""What services may expect of volumes, as in tests/contract, of those with project quotas: the same tests."""

from collections.abc import Iterator

import pytest

from app.model.volume import QUOTA
from tests.contract.test_volumes import *  # noqa: F403 - whatever is tested there is to hold here
from tests.contract.test_volumes import Bench, real_bench
from tests.support.dockerd import Dockerd
from tests.support.engine import DockerEngine


@pytest.fixture
def bench(dockerd: Dockerd, engine: DockerEngine) -> Iterator[Bench]:
    """Takes the place of the fixture there."""
    yield from real_bench(dockerd, engine, QUOTA)
