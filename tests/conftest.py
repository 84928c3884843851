"""Fixtures of every suite: each plugin starts its own private server and proves that it is its own."""

pytest_plugins = [
    "tests.support.etcd",
    "tests.support.dockerd",
    "tests.support.nvml",
    "tests.support.registry",
    "tests.support.server",
]
