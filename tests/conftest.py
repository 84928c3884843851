"""Fixtures of every suite: each plugin starts its own private server and proves that it is its own."""

from hypothesis import HealthCheck, settings

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
