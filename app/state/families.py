"""Families and their versions as recorded in etcd, for containers and volumes alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.errors import NotFound, NotNewestVersion, OnAnotherNode
from app.model.messages import Text
from app.model.names import Name, versioned
from app.ports import Put, Store
from app.state import keys
from app.state.codec import encode, read, readable


class _Family(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def current(self) -> int: ...


class _Version(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def name(self) -> str: ...


F = TypeVar("F", bound=_Family)
V = TypeVar("V", bound=_Version)


@dataclass(frozen=True)
class State(Generic[F, V]):
    """A family's record, its revision for compare-and-set, and the record of its newest version."""

    record: F
    revision: int
    current: V


@dataclass(frozen=True)
class Shape(Generic[F, V]):
    """What tells one kind of family from another: where it is kept, how it is read, what is said if it is absent."""

    resource: str
    unknown: Callable[[str], Text]
    family: type[F]
    version: type[V]
    absent: type[NotFound]


class Families(Generic[F, V]):
    """Reads the families of one shape; those of other nodes are refused where a single one is asked for."""

    def __init__(self, store: Store, node: str, shape: Shape[F, V]) -> None:
        self._store = store
        self._shape = shape
        self.node = node

    def find(self, family: str) -> State[F, V] | None:
        """The family as recorded, or None."""
        entry = self._store.get(keys.family_key(self._shape.resource, family))
        if entry is None:
            return None
        record = read(self._shape.family, entry)
        current = self._store.get(keys.version_key(self._shape.resource, family, record.current))
        if current is None:  # erased between the two reads
            return None
        return State(record, entry.revision, read(self._shape.version, current))

    def home(self, family: str) -> str | None:
        """The node on which a family lives, None if there is no such family."""
        entry = self._store.get(keys.family_key(self._shape.resource, family))
        return read(self._shape.family, entry).node if entry else None

    def known(self, name: Name) -> State[F, V]:
        """The family of `name`, wherever it lives; the shape's `absent` if there is none, or no such version yet."""
        state = self.find(name.family)
        if state is None or (name.version is not None and name.version > state.record.current):
            raise self._shape.absent(self._shape.unknown(str(name)))
        return state

    def require(self, name: Name) -> State[F, V]:
        """The family of `name`, if it lives here; the shape's `absent` or OnAnotherNode otherwise."""
        state = self.known(name)
        if state.record.node != self.node:
            message = Text("{name} is on node {node}; ask there", name=str(name), node=state.record.node)
            raise OnAnotherNode(message, node=state.record.node)
        return state

    def newest(self, name: Name) -> State[F, V]:
        """As `require`, and NotNewestVersion if `name` is an older version."""
        state = self.require(name)
        if name.version not in (None, state.record.current):
            newest = state.current.name
            message = Text("{name} is not the newest version; use {newest}", name=str(name), newest=newest)
            raise NotNewestVersion(message, newest=newest)
        return state

    def version(self, name: Name) -> V:
        """The record of that very version (the newest for a bare family); `absent` if it has none."""
        return self._version(self.require(name), name)

    def known_version(self, name: Name) -> V:
        """The same wherever the family lives."""
        return self._version(self.known(name), name)

    def _version(self, state: State[F, V], name: Name) -> V:
        if name.version in (None, state.record.current):
            return state.current
        entry = self._store.get(keys.version_key(self._shape.resource, name.family, name.version or 0))
        if entry is None:
            raise self._shape.absent(
                Text("version {name} was deleted; the newest is {newest}", name=str(name), newest=state.current.name)
            )
        return read(self._shape.version, entry)

    def versions(self, family: str) -> list[V]:
        """Every recorded version of a family, oldest first. Raises UnreadableRecord if one cannot be read."""
        entries = self._store.list(keys.versions_prefix(self._shape.resource, family))
        return sorted((read(self._shape.version, entry) for entry in entries), key=lambda record: record.version)

    def everything(self) -> tuple[list[F], dict[str, V]]:
        """All families of all nodes by name, and all versions by versioned name, as of one revision.

        Those that cannot be read are left out, and with its newest version, or its own record, the whole family.
        """
        entries = self._store.list(keys.families_prefix(self._shape.resource))
        families = readable(self._shape.family, (entry for entry in entries if not keys.is_version(entry.key)))
        versions = readable(self._shape.version, (entry for entry in entries if keys.is_version(entry.key)))
        found = {version.name: version for _, version in versions}
        whole = {family.family: family for _, family in families if versioned(family.family, family.current) in found}
        return [whole[name] for name in sorted(whole)], {k: v for k, v in found.items() if v.family in whole}

    def put(self, record: V) -> Put:
        """Return the write that makes `record` the record of its version."""
        return Put(keys.version_key(self._shape.resource, record.family, record.version), encode(record))

    def put_family(self, family: F) -> Put:
        """Return the write that makes `family` the record of its family."""
        return Put(keys.family_key(self._shape.resource, family.family), encode(family))
