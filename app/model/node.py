"""Nodes: the Docker hosts that share one etcd, each with a gpudock of its own."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.model.messages import Sentence, Text
from app.model.record import Record


@dataclass(frozen=True)
class NodeContact(Record):
    """When a node's reconcile process last saw its Docker, and when that was away, the last few times.

    In seconds since 1970 by the node's own clock.
    """

    seen: float
    outages: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class NodeLeader(Record):
    """The process that reconciles a node, by its token, and since when in seconds since 1970."""

    owner: str
    since: float = 0.0


@dataclass(frozen=True)
class NodeAgent(Record):
    """Record the process that reconciles a node: where it answers others, its host, and what it cannot see."""

    url: str
    host: str
    version: str | None = None
    problem: Sentence | None = None


@dataclass(frozen=True)
class Node:
    """A host as it speaks of itself.

    `url` is where its reconcile process answers other nodes; None if that does not run, as far as one can see.
    `problem` says why the node does not know itself how its things are. `seen` is when it last looked at them, in
    seconds since 1970 by its own clock; None if it never did. `host` is what `host_of` says of its process.
    """

    name: str
    url: str | None = None
    version: str | None = None
    problem: str | None = None
    seen: float | None = None
    host: str | None = None

    @property
    def alive(self) -> bool:
        """Tell if its reconcile process runs. A hint: it may have ended, or come back, a few seconds ago."""
        return self.url is not None

    @property
    def own_loopback(self) -> bool:
        """Tell if it answers on its host's loopback only."""
        host = urlsplit(self.url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def silence(self) -> str | None:
        """Explain why nobody knows how its things are just now; None if that is known."""
        if not self.alive:
            return Text(
                "node {name} is unreachable: its host or its `gpudock reconcile` process is down", name=self.name
            )
        return Text("node {name} cannot tell: {why}", name=self.name, why=self.problem) if self.problem else None


def host_of(token: str) -> str:
    """Return the host's part of a process token (see `Host.own_token`): another one after each boot."""
    return token.partition("/")[0]
