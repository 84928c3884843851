"""Every node, with what there is on it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from app.cluster.nodes import Nodes
from app.errors import Unavailable
from app.gpus.queries import Gpus, GpuView
from app.model.node import Node
from app.state.containers import Records
from app.state.volumes import VolumeRecords


@dataclass(frozen=True)
class NodeView:
    """A node and how many things it has; GPUs are None where nobody can say."""

    node: Node
    gpus: int | None
    free_gpus: int | None
    containers: int
    volumes: int


@dataclass(frozen=True)
class ClusterSummary:
    """Counts what the nodes have."""

    nodes: Nodes
    gpus: Gpus
    records: Records
    volumes: VolumeRecords

    def all(self) -> list[NodeView]:
        """Every node that ever joined, and those that only have things on record, by name."""
        containers, volumes = (Counter(f.node for f in r.everything()[0]) for r in (self.records, self.volumes))
        nodes = self.nodes.all()
        views = self._gpus()
        return [
            NodeView(
                nodes.get(name, Node(name)), *_gpus_of(name, views), containers=containers[name], volumes=volumes[name]
            )
            for name in sorted({*nodes, *containers, *volumes})
        ]

    def _gpus(self) -> list[GpuView]:
        try:
            here = self.gpus.here()
        except Unavailable as exc:
            if exc.part == "etcd":
                raise
            here = []
        return [*here, *self.gpus.elsewhere()]


def _gpus_of(node: str, views: Iterable[GpuView]) -> tuple[int | None, int | None]:
    mine = [view for view in views if view.node == node]
    return (len(mine), sum(view.free for view in mine)) if mine else (None, None)
