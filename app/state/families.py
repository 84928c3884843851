"""Families and their versions as recorded in etcd, for containers and volumes alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.errors import NotFound, NotNewestVersion, OnAnotherNode, UnreadableRecord
from app.model.messages import Text
from app.model.names import Name, versioned
from app.model.operation import Operation
from app.ports import Entry, Put, StoreReader
from app.state import keys
from app.state.codec import encode, read, readable
from app.state.unreadable import headless


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
class Survey(Generic[F, V]):
    """All families that can be read, by name, and their versions by versioned name; those that are worked on.

    A family is whole only with its newest version. `problems` tells what is wrong with the rest.
    """

    families: list[F]
    versions: dict[str, V]
    operations: list[Operation]
    problems: tuple[UnreadableRecord, ...]

    @property
    def known(self) -> set[str]:
        """The families of which something is on record, be it unreadable."""
        return {family.family for family in self.families} | self.unclear

    @property
    def unclear(self) -> set[str]:
        """The families of which something, their running operation too, cannot be read."""
        return {keys.family_of(problem.key)[1] for problem in self.problems}


@dataclass(frozen=True)
class Shape(Generic[F, V]):
    """Tell one kind of family from another: its place, its classes, and the refusal if one is absent."""

    resource: str
    unknown: Callable[[str], Text]
    family: type[F]
    version: type[V]
    absent: type[NotFound]


def survey(entries: Sequence[Entry], resource: str, family: type[F], version: type[V]) -> Survey[F, V]:
    """Read the families of a kind of resource, and their versions, from all their entries and running operations."""
    problems: list[UnreadableRecord] = []
    stored = [entry for entry in entries if entry.key.startswith(keys.families_prefix(resource))]
    found = readable(family, (entry for entry in stored if not keys.is_version(entry.key)), problems)
    families = {record.family: record for _, record in found}
    found_ = readable(version, (entry for entry in stored if keys.is_version(entry.key)), problems)
    versions = {record.name: record for _, record in found_}
    for record in [record for record in families.values() if versioned(record.family, record.current) not in versions]:
        problems.append(headless(keys.family_key(resource, record.family), record.current))
        del families[record.family]
    running = (entry for entry in entries if entry.key.startswith(keys.operations_prefix(resource)))
    operations = [operation for _, operation in readable(Operation, running, problems)]
    return Survey(
        [families[name] for name in sorted(families)],
        {name: record for name, record in versions.items() if record.family in families},
        operations,
        tuple(problems),
    )


class Families(Generic[F, V]):
    """Reads the families of one shape; those of other nodes are refused where a single one is asked for."""

    def __init__(self, store: StoreReader, node: str, shape: Shape[F, V]) -> None:
        self._store = store
        self._shape = shape
        self.node = node

    def find(self, family: str) -> State[F, V] | None:
        """The family as recorded, or None. Raises UnreadableRecord, also for the record of its newest version."""
        key = keys.family_key(self._shape.resource, family)
        entry = self._store.get(key)
        if entry is None:
            return None
        record = read(self._shape.family, entry)
        current = self._store.get(keys.version_key(self._shape.resource, family, record.current))
        if current is not None:
            return State(record, entry.revision, read(self._shape.version, current))
        if self._store.get(key) == entry:
            raise headless(key, record.current)
        return self.find(family)  # erased or changed between the reads

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
        """Every recorded version of a family that can be read, oldest first."""
        entries = self._store.list(keys.versions_prefix(self._shape.resource, family))
        found = readable(self._shape.version, entries)
        return sorted((record for _, record in found), key=lambda record: record.version)

    def ensure_readable(self, family: str) -> None:
        """Raise UnreadableRecord if that of a version of the family is, for who is about to act on all of them."""
        for entry in self._store.list(keys.versions_prefix(self._shape.resource, family)):
            read(self._shape.version, entry)

    def everything(self) -> tuple[list[F], dict[str, V]]:
        """All families of all nodes by name, and all versions by versioned name, as of one revision.

        Those that cannot be read are left out, and with its newest version, or its own record, the whole family.
        """
        found = self.survey()
        return found.families, found.versions

    def survey(self) -> Survey[F, V]:
        """Return the same, and what is wrong with the rest."""
        shape = self._shape
        entries = self._store.list(keys.families_prefix(shape.resource), keys.operations_prefix(shape.resource))
        return survey(entries, shape.resource, shape.family, shape.version)

    def put(self, record: V) -> Put:
        """Return the write that makes `record` the record of its version."""
        return Put(keys.version_key(self._shape.resource, record.family, record.version), encode(record))

    def put_family(self, family: F) -> Put:
        """Return the write that makes `family` the record of its family."""
        return Put(keys.family_key(self._shape.resource, family.family), encode(family))
