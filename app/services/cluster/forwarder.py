"""Requests that are another node's to answer."""

from dataclasses import dataclass

from app.domain.nodes import host_of
from app.errors import NodeRefused, NodeUnreachable
from app.ports import Host, Message, Peers, Reply
from app.services.cluster.nodes import Nodes


@dataclass(frozen=True)
class Forwarder:
    """Sends requests on to the reconcile processes of other nodes."""

    nodes: Nodes
    peers: Peers
    host: Host

    def forward(self, node: str, message: Message) -> Reply:
        """What `node` answers. Raises NodeUnreachable, NodeCutOff, NodeRefused or NodeNotFound."""
        target = self.nodes.find(node)
        if target.url is None:
            raise NodeUnreachable("node", f"{target.silence}; nothing was changed")
        if target.own_loopback and target.host != host_of(self.host.own_token()):
            advice = "set GPUDOCK_NODE_BIND there"
            raise NodeUnreachable("node", f"node {node} listens on its own host's loopback only; {advice}")
        reply = self.peers.ask(node, target.url, message)
        if reply.status == 401 or _wants_login(reply):
            raise NodeRefused("node", f"node {node} does not know this token; give all nodes the same GPUDOCK_TOKEN")
        return reply


def _wants_login(reply: Reply) -> bool:
    location = next((value for name, value in reply.headers if name.lower() == "location"), "")
    return reply.status == 302 and location.partition("?")[0] == "/login"
