"""The store in etcd: JSON values, compare-and-swap transactions, bounded waits, failover between members.

Only the generated stubs of etcd-sdk-python (`pyetcd`) are used, on gRPC channels of our own. Its client drops
the revision of a transaction and the text of an error, which alone tells whether a failed write may have
happened, and keeps its current member in state that threads share. gRPC channels are thread safe and reconnect
by themselves.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from pyetcd import etcdrpc
from pyetcd.utils import prefix_range_end

from app.adapters.json_values import parse_object
from app.errors import InvalidRequest, OutcomeUnknown, Unavailable
from app.model.messages import Text
from app.ports import Delete, Entry, Put

_CHANNEL_OPTIONS = (
    # How fast an etcd that came back is seen; a member that accepts but stays silent is given up after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # With keepalive on, the kernel drops a connection whose peer acknowledges nothing for the timeout, so a host
    # that lost its network is noticed. etcd refuses pings closer together than 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    # By default an answer above 4 MiB is an error; a listing of everything may be larger.
    ("grpc.max_receive_message_length", -1),
    # Proxies are for the internet; etcd is in the house.
    ("grpc.enable_http_proxy", 0),
)

# What gRPC says when no connection could be made, so that the request never left this process.
_NEVER_SENT = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")

_REFUSED = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass(frozen=True)
class _Member:
    """The stubs of one etcd member, on one channel."""

    kv: Any
    lease: Any
    maintenance: Any
    channel: Any

    @classmethod
    def at(cls, host: str, port: int) -> "_Member":
        channel = connect(host, port)
        stubs = etcdrpc.KVStub(channel), etcdrpc.LeaseStub(channel), etcdrpc.MaintenanceStub(channel)
        return cls(*stubs, channel)


def connect(host: str, port: int) -> Any:
    """Make a gRPC channel to one member; it connects when it is used first."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)


class EtcdStore:
    """Implements `ports.Store` on an etcd cluster; safe for threads, and for processes forked after its first use.

    Fork between calls, though: gRPC 1.85 fails, hangs or crashes in a few of a hundred children that are forked
    while threads are calling.

    `endpoints` are (host, port) pairs of one cluster, `prefix` begins every key, `timeout` in seconds bounds a
    write and each attempt of a read; a read as a whole takes at most 1.75 times as long.
    """

    def __init__(self, endpoints: Sequence[tuple[str, int]], prefix: str, timeout: float = 2.0) -> None:
        self._endpoints = tuple(endpoints)
        self._prefix = prefix.rstrip("/")
        self._timeout = timeout
        # By process id: with its parent's channels, every second child forked in the middle of calls hung for good.
        self._members_of: dict[int, tuple[_Member, ...]] = {}
        self._preferred = 0
        self._kept: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def get(self, key: str) -> Entry | None:
        request = etcdrpc.RangeRequest(key=self._absolute(key))
        reply = self._read(lambda member, seconds: member.kv.Range(request, seconds), 1.75 * self._timeout)
        return self._entry(reply.kvs[0]) if reply.kvs else None

    def list(self, *prefixes: str) -> list[Entry]:
        ranges = [etcdrpc.RangeRequest(**self._span(prefix)) for prefix in prefixes]
        request = etcdrpc.TxnRequest(success=[etcdrpc.RequestOp(request_range=span) for span in ranges])
        reply = self._read(lambda member, seconds: member.kv.Txn(request, seconds), 1.75 * self._timeout)
        found = {kv.key: kv for answer in reply.responses for kv in answer.response_range.kvs}
        return [self._entry(found[key]) for key in sorted(found)]

    def transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        """Apply them in one etcd transaction.

        Raises also InvalidRequest above etcd's limits (128 writes, 1.5 MiB), and ValueError if one key would be put
        twice, or put and deleted.
        """
        request = etcdrpc.TxnRequest(
            compare=[self._comparison(key, revision) for key, revision in expected.items()],
            success=[self._operation(write) for write in writes],
        )
        reply = self._write(lambda member: member.kv.Txn(request, self._timeout))
        return int(reply.header.revision) if reply.succeeded else None

    def ping(self) -> str:
        """Ask a member that has a leader, for 1.25 times `timeout` at most."""
        request = etcdrpc.StatusRequest()
        reply = self._read(lambda member, seconds: member.maintenance.Status(request, seconds), 1.25 * self._timeout)
        if not reply.leader:
            raise Unavailable("etcd", Text("etcd has no leader: most of its members must run and reach each other"))
        return str(reply.version)

    def put_leased(self, key: str, value: Mapping[str, Any], seconds: int) -> None:
        lease, known = self._kept.get(key, (0, None))
        if not lease or not self._renewed(lease):
            lease, known = self._grant(seconds), None
        if value != known or self.get(key) is None:
            put = etcdrpc.PutRequest(key=self._absolute(key), value=_encoded(value), lease=lease)
            self._write(lambda member: member.kv.Put(put, self._timeout))
        self._kept[key] = lease, value

    def close(self) -> None:
        """Close this process's connections; the next call opens new ones."""
        for member in self._members_of.pop(os.getpid(), ()):
            member.channel.close()

    def _grant(self, seconds: int) -> int:
        request = etcdrpc.LeaseGrantRequest(TTL=seconds)
        return int(self._read(lambda member, limit: member.lease.LeaseGrant(request, limit), self._timeout).ID)

    def _renewed(self, lease: int) -> bool:
        """Have the lease last from now on as long as it did at first; False if it is over."""
        request = etcdrpc.LeaseKeepAliveRequest(ID=lease)
        reply = self._read(
            lambda member, limit: next(member.lease.LeaseKeepAlive(iter((request,)), limit), None), self._timeout
        )
        return reply is not None and reply.TTL > 0

    def _members(self) -> tuple[_Member, ...]:
        # No lock: a fork may happen while another thread holds it. setdefault lets one of two racing threads win.
        known = self._members_of.get(os.getpid())
        return known or self._members_of.setdefault(os.getpid(), tuple(_Member.at(*e) for e in self._endpoints))

    def _read(self, send: Callable[[_Member, float], Any], budget: float) -> Any:
        """Ask one member after the other, at least twice in all, within `budget` seconds."""
        deadline = time.monotonic() + budget
        for left in reversed(range(max(2, len(self._endpoints)))):
            try:
                return self._ask(lambda member: send(member, min(self._timeout, deadline - time.monotonic())))
            except grpc.RpcError as exc:
                if not left or time.monotonic() > deadline - 0.1:
                    raise self._read_failure(exc) from exc
        raise AssertionError("the last attempt returns or raises")

    def _write(self, send: Callable[[_Member], Any]) -> Any:
        """Ask the next member only if the one before was not reached: a write may have happened, so never twice."""
        for left in reversed(range(len(self._endpoints))):
            try:
                return self._ask(send)
            except grpc.RpcError as exc:
                if not left or not _never_sent(exc):
                    raise self._write_failure(exc) from exc
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, send: Callable[[_Member], Any]) -> Any:
        """Ask the preferred member; if it fails, the next one is preferred from now on."""
        chosen = self._preferred
        try:
            return send(self._members()[chosen])
        except grpc.RpcError:
            self._preferred = (chosen + 1) % len(self._endpoints)
            raise

    def _read_failure(self, exc: Any) -> Exception:
        return _refusal(exc) or Unavailable("etcd", self._silence())

    def _write_failure(self, exc: Any) -> Exception:
        if _never_sent(exc):
            return Unavailable("etcd", self._silence())
        message = Text(
            "etcd was cut off in the middle of a write, which may or may not have happened; look before retrying"
        )
        return _refusal(exc) or OutcomeUnknown("etcd", message)

    def _silence(self) -> Text:
        places = ", ".join(f"{host}:{port}" for host, port in self._endpoints)
        return Text(
            "etcd does not answer at {places}; check that it runs and that GPUDOCK_ETCD names it", places=places
        )

    def _absolute(self, key: str) -> bytes:
        if not key.startswith("/"):
            raise ValueError(f"a key must begin with /: {key!r}")
        return f"{self._prefix}{key}".encode()

    def _span(self, prefix: str) -> dict[str, bytes]:
        start = self._absolute(prefix)
        return {"key": start, "range_end": prefix_range_end(start)}

    def _comparison(self, key: str, revision: int) -> Any:
        compare = etcdrpc.Compare
        return compare(key=self._absolute(key), target=compare.MOD, result=compare.EQUAL, mod_revision=revision)

    def _operation(self, write: Put | Delete) -> Any:
        if isinstance(write, Put):
            put = etcdrpc.PutRequest(key=self._absolute(write.key), value=_encoded(write.value))
            return etcdrpc.RequestOp(request_put=put)
        span = self._span(write.key) if write.prefix else {"key": self._absolute(write.key)}
        return etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(**span))

    def _entry(self, kv: Any) -> Entry:
        key = kv.key.decode(errors="replace").removeprefix(self._prefix)
        text = kv.value.decode(errors="replace")
        value = parse_object(text)
        return Entry(key, {}, kv.mod_revision, text) if value is None else Entry(key, value, kv.mod_revision)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(value), separators=(",", ":")).encode()


def _never_sent(exc: Any) -> bool:
    return exc.code() is grpc.StatusCode.UNAVAILABLE and (exc.details() or "").startswith(_NEVER_SENT)


def _refusal(exc: Any) -> Exception | None:
    """Tell what a refusal by a working etcd means; None if it is none. The texts are those of its v3rpc/rpctypes."""
    details = exc.details() or ""
    if any(text in details for text in ("request is too large", "larger than max", "too many operations")):
        return InvalidRequest(Text("too much at once for etcd, which takes 1.5 MiB and 128 keys in one write"))
    if "duplicate key given" in details:
        return ValueError("a transaction may put a key once, and not delete it as well")
    if "database space exceeded" in details:
        # Not plainly Unavailable: the member that notices it while applying a write refuses it after it was
        # done (quotaApplierV3 in etcdserver/apply.go).
        message = Text("etcd is out of space: compact and defragment it, then disarm its alarm (etcdctl alarm disarm)")
        return OutcomeUnknown("etcd", message)
    if exc.code() in _REFUSED and details.startswith("etcdserver:"):
        message = Text("etcd refuses gpudock's requests; check that its authentication is not turned on")
        return Unavailable("etcd", message)
    return None
