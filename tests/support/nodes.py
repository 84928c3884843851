"""Two gpudocks, each with a Docker of its own, on one etcd of three members."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.adapters.etcd import EtcdStore
from app.ports import Delete
from tests.support import images
from tests.support.dockerd import Dockerd
from tests.support.etcd import etcd_cluster
from tests.support.server import PREFIX, Server
from tests.support.volumes import remove_everything, wait_for

GPUS = 4


@dataclass(frozen=True)
class Pair:
    """The two nodes, `one` and `two`, and their Docker."""

    one: Server
    two: Server
    docker_one: Dockerd
    docker_two: Dockerd

    def alive(self, asked: Server | None = None) -> set[str]:
        """The names of the nodes that live, as one of them says."""
        nodes = (asked or self.one).data("GET", "/nodes")["nodes"]
        return {node["name"] for node in nodes if node["alive"] and node["gpusTotal"] == GPUS}

    def start(self, server: Server) -> None:
        """Start a gpudock with its reconcile process."""
        server.start()
        server.start_reconcile()


@contextmanager
def pair(first: Dockerd) -> Iterator[Pair]:
    """Both nodes, running and known to each other; `first` must have the image. In the end all is gone."""
    with ExitStack() as stack:
        second = stack.enter_context(_second_dockerd())
        etcds = stack.enter_context(etcd_cluster(3))
        where = ",".join("{}:{}".format(*etcd.endpoint) for etcd in etcds)
        settings = {"GPUDOCK_ETCD": where, "GPUDOCK_GPUS": f"simulated:{GPUS}"}
        servers = []
        for name, dockerd in (("one", first), ("two", second)):
            servers.append(Server(dockerd, etcds[0], {**settings, "GPUDOCK_NODE": name}))
            stack.callback(remove_everything, dockerd)
            stack.callback(servers[-1].stop)
        both = Pair(*servers, first, second)
        for server in servers:
            both.start(server)
        wait_for(lambda: both.alive(both.one) == both.alive(both.two) == {"one", "two"})
        yield both
        store = EtcdStore([etcd.endpoint for etcd in etcds], PREFIX)
        store.transact({}, [Delete("/", prefix=True)])
        store.close()


@contextmanager
def _second_dockerd() -> Iterator[Dockerd]:
    dockerd = Dockerd(Path(tempfile.mkdtemp(prefix="gpudock-", dir="/var/tmp")))
    dockerd.bridge = f"{dockerd.bridge}n"
    dockerd.start()
    try:
        images.build(dockerd.command)
        yield dockerd
    finally:
        dockerd.stop()
