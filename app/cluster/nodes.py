"""The nodes of the cluster, as they speak of themselves in etcd."""

from dataclasses import replace

from app.errors import NodeNotFound
from app.model.messages import Text
from app.model.node import Node, NodeAgent, NodeContact
from app.ports import Entry, StoreReader
from app.state.codec import try_read
from app.state.keys import NODES, agent_key, node_key


class Nodes:
    """Reads which nodes there are; `node` is this one's name."""

    def __init__(self, store: StoreReader, node: str) -> None:
        self._store = store
        self.node = node

    def all(self) -> dict[str, Node]:
        """Every node that ever joined, and this one, by name."""
        found = {self.node: Node(self.node)}
        for entry in self._store.list(NODES):
            name = entry.key.removeprefix(NODES).partition("/")[0]
            found[name] = _noted(found.get(name, Node(name)), entry)
        return {name: found[name] for name in sorted(found)}

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


def _noted(node: Node, entry: Entry) -> Node:
    """The node with what an entry tells of it; of one that cannot be read, or is another process's note, nothing."""
    if entry.key == node_key(node.name) and (contact := try_read(NodeContact, entry)):
        return replace(node, seen=contact.seen)
    if entry.key == agent_key(node.name) and (agent := try_read(NodeAgent, entry)):
        return replace(node, url=agent.url, version=agent.version, problem=agent.problem, host=agent.host)
    return node
