"""Fixtures of every suite: each plugin starts its own private server and proves that it is its own."""

import pytest
from hypothesis import HealthCheck, settings

from app.operations.requester import ITSELF, set_requester

pytest_plugins = [
    "tests.support.etcd",
    "tests.support.dockerd",
    "tests.support.nvml",
    "tests.support.registry",
    "tests.support.server",
]

# By default an example that takes longer than 200 ms is an error; on a slow machine that says nothing about gpudock.
settings.register_profile("gpudock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gpudock")


@pytest.fixture(autouse=True)
def _nobody_asked_yet() -> None:
    """A command that ran in this process, and its thread, says who asks; the next test is not its."""
    set_requester(ITSELF)
