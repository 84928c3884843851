"""Families and their versions as recorded in etcd, for containers and volumes alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from app.errors import NotFound, NotNewestVersion, OnAnotherNode
from app.model.messages import Text
from app.model.names import Name
from app.ports import StoreReader
from app.state import keys


class _Family(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def current(self) -> int: ...


class _Version(Protocol):
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
    family: Callable[[Mapping[str, Any]], F]
    version: Callable[[Mapping[str, Any]], V]
    absent: type[NotFound]


class Families(Generic[F, V]):
    """Reads the families of one shape; those of other nodes are refused where a single one is asked for."""

    def __init__(self, store: StoreReader, node: str, shape: Shape[F, V]) -> None:
        self._store = store
        self._shape = shape
        self.node = node

    def find(self, family: str) -> State[F, V] | None:
        """The family as recorded, or None."""
        entry = self._store.get(keys.family_key(self._shape.resource, family))
        if entry is None:
            return None
        record = self._shape.family(entry.value)
        current = self._store.get(keys.version_key(self._shape.resource, family, record.current))
        if current is None:  # erased between the two reads
            return None
        return State(record, entry.revision, self._shape.version(current.value))

    def home(self, family: str) -> str | None:
        """The node on which a family lives, None if there is no such family."""
        entry = self._store.get(keys.family_key(self._shape.resource, family))
        return self._shape.family(entry.value).node if entry else None

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
        return self._shape.version(entry.value)

    def versions(self, family: str) -> list[V]:
        """Every recorded version of a family, oldest first."""
        entries = self._store.list(keys.versions_prefix(self._shape.resource, family))
        return sorted((self._shape.version(e.value) for e in entries), key=lambda record: record.version)

    def everything(self) -> tuple[list[F], dict[str, V]]:
        """All families of all nodes by name, and all versions by versioned name, as of one revision."""
        families, versions = [], {}
        for entry in self._store.list(keys.families_prefix(self._shape.resource)):
            if "/versions/" in entry.key:
                version = self._shape.version(entry.value)
                versions[version.name] = version
            else:
                families.append(self._shape.family(entry.value))
        return sorted(families, key=lambda family: family.family), versions
