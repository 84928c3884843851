"""The nodes of the cluster, as they speak of themselves in etcd."""

from app.errors import NodeNotFound
from app.model.messages import Text, from_json
from app.model.node import Node
from app.ports import Store
from app.state.keys import NODES


class Nodes:
    """Reads which nodes there are; `node` is this one's name."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self.node = node

    def all(self) -> dict[str, Node]:
        """Every node that ever joined, and this one, by name."""
        notes: dict[str, dict[str, object]] = {self.node: {}}
        for entry in self._store.list(NODES):
            name, _, kind = entry.key.removeprefix(NODES).partition("/")
            if kind == "agent":
                about = {key: entry.value[key] for key in ("url", "version", "host")}
                about["problem"] = from_json(entry.value["problem"])
            else:
                about = {"seen": entry.value["seen"]} if not kind else {}
            notes.setdefault(name, {}).update(about)
        return {name: Node(name, **notes[name]) for name in sorted(notes)}  # type: ignore[arg-type]

    def others(self) -> dict[str, Node]:
        """Every node but this one."""
        return {name: node for name, node in self.all().items() if name != self.node}

    def lives(self, name: str) -> bool:
        """Tell whether a node's reconcile process runs, as far as one can see; False for one that never joined."""
        node = self.all().get(name)
        return node is not None and node.alive

    def find(self, name: str) -> Node:
        """The node of that name; NodeNotFound if there never was one."""
        nodes = self.all()
        if name not in nodes:
            message = Text("there is no node {node}; there are: {nodes}", node=repr(name[:60]), nodes=", ".join(nodes))
            raise NodeNotFound(message, node=name, nodes=list(nodes))
        return nodes[name]
