"""On which node something new is made."""

from collections import Counter
from dataclasses import dataclass

from app.cluster.nodes import Nodes
from app.cluster.reports import RemoteReports
from app.errors import ContainerExists, InvalidRequest, OnAnotherNode, Unavailable, VolumesApart
from app.gpus.queries import Gpus, GpuView
from app.model.container import Spec
from app.model.messages import Text, joined
from app.model.names import VOLUME, parse
from app.state.volumes import VolumeRecords


@dataclass(frozen=True)
class Placement:
    """Chooses a node, and raises OnAnotherNode if it is not this one."""

    nodes: Nodes
    gpus: Gpus
    volumes: VolumeRecords
    reports: RemoteReports

    def container(self, family: str, spec: Spec, node: str | None) -> None:
        """Return if the container `family` with `spec` is to be made here: on `node`, if one is given.

        Otherwise where its volumes are, or on the node with enough free GPUs that leaves the fewest over, or here.
        Raises NodeNotFound, VolumesApart if its volumes are not all there, or ContainerExists if an erased family of
        that name has left something on another node.
        """
        self._check_left(family)
        homes = self._homes(spec)
        if len(homes) > 1 or (node is not None and homes and node not in homes):
            raise _apart(homes, node)
        if node is None and homes:
            self._send_to(next(iter(homes)))
        elif node is None and spec.gpu_count > 0:
            self._send_to(self._best_fit(spec.gpu_count))
        else:
            self.volume(node)

    def volume(self, node: str | None) -> None:
        """Return if a volume is to be made here: on `node`, if one is given. Raises NodeNotFound."""
        if node is not None and node != self.nodes.node:
            self._send_to(self.nodes.find(node).name)

    def _check_left(self, family: str) -> None:
        left = [found.container for found in self.reports.leftovers()]
        mine = [(each.name, each.labels.node) for each in left if each.labels and each.labels.family == family]
        if mine:
            names = joined((Text("{name} on {node}", name=name, node=node) for name, node in mine), ", ")
            raise ContainerExists(
                Text(
                    "older containers of an erased {family} still exist: {names}; delete them first",
                    family=family,
                    names=names,
                )
            )

    def _homes(self, spec: Spec) -> dict[str, list[str]]:
        """The nodes of the volumes that it mounts, as far as those are gpudock's."""
        found: dict[str, list[str]] = {}
        for name in dict.fromkeys(bind.src for bind in spec.binds if bind.is_volume):
            if home := self._home(name):
                found.setdefault(home, []).append(name)
        return found

    def _home(self, volume: str) -> str | None:
        try:
            return self.volumes.home(parse(volume, VOLUME).family)
        except InvalidRequest:  # not a name that gpudock gives
            return None

    def _best_fit(self, count: int) -> str:
        """If none has enough, the one with most: its refusal says how many there are."""
        here, free = self.nodes.node, self._free()
        fitting = {node: number for node, number in free.items() if number >= count}
        if fitting:
            return min(fitting, key=lambda node: (fitting[node], node != here, node))
        return max(free, key=lambda node: (free[node], node == here, node), default=here)

    def _free(self) -> Counter[str]:
        elsewhere = self.gpus.elsewhere()
        if not elsewhere:  # nothing to choose from, so nothing to look for
            return Counter()
        return Counter({**_count(elsewhere), **_count(self._here())})

    def _here(self) -> list[GpuView]:
        try:
            return self.gpus.here()
        except Unavailable as exc:
            if exc.part == "etcd":
                raise
            return []  # its own GPUs cannot be had now

    def _send_to(self, node: str) -> None:
        if node != self.nodes.node:
            raise OnAnotherNode(Text("node {node} is to make it", node=node), node=node)


def _count(views: list[GpuView]) -> Counter[str]:
    found = Counter(dict.fromkeys((view.node for view in views), 0))
    found.update(view.node for view in views if view.free)
    return found


def _apart(homes: dict[str, list[str]], node: str | None) -> VolumesApart:
    places = joined(
        Text("{names} on node {node}", names=", ".join(names), node=node) for node, names in sorted(homes.items())
    )
    message = Text("a container can only mount what is on one node, and there are {places}", places=places)
    if node:
        message = Text(
            "a container can only mount what is on node {node}, and there are {places}", node=node, places=places
        )
    return VolumesApart(message, volumes=homes)
