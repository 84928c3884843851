"""This node in etcd: which process reconciles it, when it last saw Docker, and when Docker was away."""

import time
from dataclasses import dataclass, replace

import structlog

from app.agent.plan import Outages
from app.errors import Fenced
from app.model.messages import Text
from app.model.node import NodeAgent, NodeContact, NodeLeader, host_of
from app.ports import Host, Put, Store
from app.state.codec import encode, try_read
from app.state.keys import agent_key, node_key, reconciler_key

log = structlog.get_logger()
# Passes are a few seconds apart; a longer gap means that Docker, this process or the host was away.
_GAP = 15.0
_REMEMBERED = 8


@dataclass
class Leadership:
    """The right to reconcile the node: one process at a time, told by a key that names it.

    All candidates are on this host, so that one sees whether another lives; no lease can expire in the middle. If
    another host has the same name by mistake, the one that speaks for the node now goes on.
    """

    store: Store
    host: Host
    node: str
    revision: int = 0

    def acquire(self) -> bool:
        """Take the lead if nobody alive has it, and tell whether this process leads."""
        key, own = reconciler_key(self.node), self.host.own_token()
        entry = self.store.get(key)
        leader = try_read(NodeLeader, entry)
        if entry is not None and leader is not None and leader.owner == own:
            self.revision = entry.revision
            return True
        if leader is not None and self.host.process_alive(leader.owner):
            return False
        agent = try_read(NodeAgent, self.store.get(agent_key(self.node)))
        if agent is not None and agent.host != host_of(own):
            log.warning("another host speaks for this node; give each its own GPUDOCK_NODE", node=self.node)
            return False
        put = Put(key, encode(NodeLeader(own, time.time())))
        revision = self.store.transact({key: entry.revision if entry else 0}, [put])
        self.revision = revision or 0
        return revision is not None


class Contact:
    """Remembers when Docker and this process were last well together, across restarts of both."""

    def __init__(self, store: Store, leadership: Leadership) -> None:
        self._store = store
        self._leadership = leadership

    def renew(self, moment: float, away: bool) -> Outages:
        """Note that Docker answered at `moment` (seconds since 1970); the outages so far, the last few.

        `away` says that it did not answer some time since the last call. Raises Fenced if another process
        reconciles the node by now.
        """
        before = self._noted() or NodeContact(moment)
        outages = before.outages
        if away or moment - before.seen > _GAP:
            outages = (*outages, (before.seen, moment))
        after = replace(before, seen=moment, outages=outages[-_REMEMBERED:])
        fence = {reconciler_key(self._leadership.node): self._leadership.revision}
        if self._store.transact(fence, [Put(node_key(self._leadership.node), encode(after))]) is None:
            raise Fenced(Text("another process reconciles this node"))
        return list(outages)

    def outages(self) -> Outages:
        """When Docker was away, as noted so far."""
        noted = self._noted()
        return list(noted.outages) if noted else []

    def _noted(self) -> NodeContact | None:
        return try_read(NodeContact, self._store.get(node_key(self._leadership.node)))
