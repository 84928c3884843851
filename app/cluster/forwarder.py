"""Requests that are another node's to answer."""

from dataclasses import dataclass

from app.cluster.nodes import Nodes
from app.errors import NodeRefused, NodeUnreachable
from app.model.messages import Text
from app.model.node import host_of
from app.ports import Host, Message, Peers, Reply


@dataclass(frozen=True)
class Forwarder:
    """Sends requests on to the reconcile processes of other nodes."""

    nodes: Nodes
    peers: Peers
    host: Host

    def url(self, node: str) -> str:
        """Find the URL at which `node` answers. Raises NodeUnreachable or NodeNotFound."""
        target = self.nodes.find(node)
        if target.url is None:
            raise NodeUnreachable("node", Text("{silence}; nothing was changed", silence=target.silence))
        if target.own_loopback and target.host != host_of(self.host.own_token()):
            raise NodeUnreachable(
                "node",
                Text("node {node} listens on its own host's loopback only; set GPUDOCK_NODE_BIND there", node=node),
            )
        return target.url

    def forward(self, node: str, url: str, message: Message) -> Reply:
        """Return the answer of `node`, whose `url` that is. Raises NodeUnreachable, NodeCutOff or NodeRefused."""
        reply = self.peers.ask(node, url, message)
        if reply.status == 401 or _wants_login(reply):
            raise NodeRefused(
                "node",
                Text(
                    "node {node} does not know this token; give all nodes the same GPUDOCK_TOKEN and GPUDOCK_TOKENS",
                    node=node,
                ),
            )
        return reply


def _wants_login(reply: Reply) -> bool:
    location = next((value for name, value in reply.headers if name.lower() == "location"), "")
    return reply.status == 302 and location.partition("?")[0] == "/login"
