"""Reports of nodes on their containers and volumes: how they are written down, and how they are read.

Of each family there is one key. It says for which state of the family's record (`updated`) it was written: what was
changed since is not in it, and is then taken to be as the record wants it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from app.cluster.nodes import Nodes
from app.model.alerts import DiskSpace
from app.model.container import Mount, Observed
from app.model.container_drift import Leftover
from app.model.drift import Drift
from app.model.node import Node
from app.model.volume import Usage
from app.ports import StoreReader
from app.state.codec import encode, readable
from app.state.keys import DISKS, LEFTOVERS, observed_prefix

Json = dict[str, Any]
T = TypeVar("T")
# What is below this name changes all the time, and is not written as often as it does.
MOVING = "moving"


class _Family(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def updated(self) -> str: ...


@dataclass(frozen=True)
class VersionReport:
    """The report of a node on one version; of a container `mounts` and `usage` are empty."""

    version: int
    state: str
    drift: tuple[Drift, ...] = ()
    mounts: Sequence[Mount] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class WrittenVersion:
    """A version as it is written down."""

    state: str
    drift: tuple[Drift, ...] = ()
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True)
class FamilyReport:
    """A family as it is written down: its versions and, apart, what is in use of them, both by number."""

    updated: str
    versions: Mapping[str, WrittenVersion]
    moving: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftoverReport:
    """A container of an erased family as it is written down."""

    container: Observed
    drift: Drift


@dataclass(frozen=True)
class DiskReport:
    """A disk as it is written down: its size in bytes, and whether that is nearly used up."""

    total: int
    low: bool


@dataclass(frozen=True)
class DisksReport:
    """The disks of a node as they are written down, by path, and apart the bytes that are free."""

    disks: Mapping[str, DiskReport]
    moving: Mapping[str, int]


@dataclass(frozen=True)
class Reports:
    """The last reports of all other nodes on their things of one kind, by node and family."""

    nodes: Mapping[str, Node]
    by_family: Mapping[str, FamilyReport]

    def silence(self, node: str) -> str | None:
        """Return the reason for which the state of a node's things is not known; None if it is."""
        return self.nodes.get(node, Node(node)).silence

    def of(self, family: _Family, version: int) -> VersionReport | None:
        """Return the report on a version; None if its node wrote none since the family was changed last."""
        report = self.by_family.get(f"{family.node}/{family.family}")
        found = report.versions.get(str(version)) if report and report.updated == family.updated else None
        if report is None or found is None:
            return None
        return VersionReport(version, found.state, found.drift, found.mounts, report.moving.get(str(version), Usage()))


class RemoteReports:
    """Reads the reports of the nodes that live."""

    def __init__(self, store: StoreReader, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def reports(self, kind: str) -> Reports:
        """Read the reports of the other nodes on their containers or volumes."""
        nodes = self._nodes.others()
        return Reports(nodes, self._read_all(FamilyReport, kind, nodes))

    def leftovers(self) -> tuple[Leftover, ...]:
        """The containers in the Docker of other nodes whose family is not on record any more."""
        found = self._read_all(LeftoverReport, LEFTOVERS, self._nodes.others())
        return tuple(Leftover(found[key].container, found[key].drift) for key in sorted(found))

    def disks(self) -> tuple[DiskSpace, ...]:
        """Read the space on the disks of the other nodes."""
        found = self._read_all(DisksReport, DISKS, self._nodes.others())
        return tuple(disk for key in sorted(found) for disk in _disks(key.partition("/")[0], found[key]))

    def _read_all(self, cls: type[T], kind: str, nodes: Mapping[str, Node]) -> dict[str, T]:
        living = [observed_prefix(kind, name) for name, node in nodes.items() if node.silence is None]
        entries = self._store.list(*living) if living else []
        return {entry.key.removeprefix(observed_prefix(kind)): found for entry, found in readable(cls, entries)}


def report(family: _Family, versions: Iterable[VersionReport]) -> Json:
    """A family as its node reports it."""
    reports = list(versions)
    found = {str(one.version): WrittenVersion(one.state, one.drift, tuple(one.mounts)) for one in reports}
    moving = {str(one.version): one.usage for one in reports if one.usage != Usage()}
    return encode(FamilyReport(family.updated, found, moving))


def report_leftover(found: Leftover) -> Json:
    """A leftover as its node reports it; without what Docker says in words, which changes with the time."""
    return encode(LeftoverReport(replace(found.container, status=""), found.drift))


def report_disks(disks: Iterable[DiskSpace]) -> Json:
    """The disks of a node as it reports them."""
    found = list(disks)
    written = {disk.path: DiskReport(disk.total, disk.low) for disk in found}
    return encode(DisksReport(written, {disk.path: disk.free for disk in found}))


def _disks(node: str, found: DisksReport) -> list[DiskSpace]:
    return [DiskSpace(path, found.moving.get(path, 0), disk.total, node) for path, disk in sorted(found.disks.items())]
