"""Reports of nodes on their containers and volumes: how they are written down, and how they are read.

Of each family there is one key. It says for which state of the family's record (`updated`) it was written: what was
changed since is not in it, and is then taken to be as the record wants it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from app.cluster.nodes import Nodes
from app.model.alerts import DiskSpace
from app.model.container import Labels, Mount, Observed
from app.model.container_drift import Leftover
from app.model.drift import Drift
from app.model.messages import from_json, to_json
from app.model.node import Node
from app.model.volume import Usage
from app.ports import StoreReader
from app.state.keys import DISKS, LEFTOVERS, observed_prefix

Json = dict[str, Any]
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
class Reports:
    """The last reports of all other nodes on their things of one kind."""

    nodes: Mapping[str, Node]
    by_family: Mapping[str, Json]

    def silence(self, node: str) -> str | None:
        """Return the reason for which the state of a node's things is not known; None if it is."""
        return self.nodes.get(node, Node(node)).silence

    def of(self, family: _Family, version: int) -> VersionReport | None:
        """Return the report on a version; None if its node wrote none since the family was changed last."""
        report = self.by_family.get(f"{family.node}/{family.family}")
        if report is None or report["updated"] != family.updated or str(version) not in report["versions"]:
            return None
        return _read(version, report["versions"][str(version)], report.get(MOVING, {}).get(str(version), {}))


class RemoteReports:
    """Reads the reports of the nodes that live."""

    def __init__(self, store: StoreReader, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def reports(self, kind: str) -> Reports:
        """Read the reports of the other nodes on their containers or volumes."""
        nodes = self._nodes.others()
        return Reports(nodes, self._read_all(kind, nodes))

    def leftovers(self) -> tuple[Leftover, ...]:
        """The containers in the Docker of other nodes whose family is not on record any more."""
        found = self._read_all(LEFTOVERS, self._nodes.others())
        return tuple(_leftover(found[key]) for key in sorted(found))

    def disks(self) -> tuple[DiskSpace, ...]:
        """Read the space on the disks of the other nodes."""
        found = self._read_all(DISKS, self._nodes.others())
        return tuple(disk for key in sorted(found) for disk in _disks(key.partition("/")[0], found[key]))

    def _read_all(self, kind: str, nodes: Mapping[str, Node]) -> dict[str, Json]:
        living = [observed_prefix(kind, name) for name, node in nodes.items() if node.silence is None]
        entries = self._store.list(*living) if living else []
        return {entry.key.removeprefix(observed_prefix(kind)): entry.value for entry in entries}


def report(family: _Family, versions: Iterable[VersionReport]) -> Json:
    """A family as its node reports it."""
    reports = list(versions)
    moving = {str(one.version): asdict(one.usage) for one in reports if one.usage != Usage()}
    return {
        "schema": 1,
        "updated": family.updated,
        "versions": {str(one.version): _written(one) for one in reports},
        **({MOVING: moving} if moving else {}),
    }


def report_leftover(found: Leftover) -> Json:
    """A leftover as its node reports it; without what Docker says in words, which changes with the time."""
    return {"schema": 1, "container": {**asdict(found.container), "status": ""}, "drift": _drift_to_json(found.drift)}


def report_disks(disks: Iterable[DiskSpace]) -> Json:
    """The disks of a node as it reports them."""
    found = list(disks)
    return {
        "schema": 1,
        "disks": {disk.path: {"total": disk.total, "low": disk.low} for disk in found},
        MOVING: {disk.path: disk.free for disk in found},
    }


def _written(report: VersionReport) -> Json:
    mounts = [asdict(mount) for mount in report.mounts]
    return {
        "state": report.state,
        "drift": [_drift_to_json(found) for found in report.drift],
        **({"mounts": mounts} if mounts else {}),
    }


def _read(version: int, raw: Json, usage: Json) -> VersionReport:
    drift = tuple(_drift_from_json(found) for found in raw["drift"])
    mounts = [Mount(**mount) for mount in raw.get("mounts", ())]
    return VersionReport(version, raw["state"], drift, mounts, Usage(**usage))


def _disks(node: str, raw: Json) -> list[DiskSpace]:
    return [DiskSpace(path, raw[MOVING][path], disk["total"], node) for path, disk in sorted(raw["disks"].items())]


def _leftover(raw: Json) -> Leftover:
    container = {**raw["container"], "labels": Labels(**raw["container"]["labels"])}
    return Leftover(Observed(**container), _drift_from_json(raw["drift"]))


def _drift_to_json(found: Drift) -> Json:
    return {"kind": found.kind, "reason": to_json(found.reason), "advice": to_json(found.advice)}


def _drift_from_json(raw: Json) -> Drift:
    return Drift(raw["kind"], from_json(raw["reason"]), from_json(raw["advice"]))
