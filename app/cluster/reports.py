"""What nodes tell each other of their containers and volumes: how it is written down, and how it is read.

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
class Told:
    """What a node tells of one version; of a container `mounts` and `usage` are empty."""

    version: int
    state: str
    drift: tuple[Drift, ...] = ()
    mounts: Sequence[Mount] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Reports:
    """What all other nodes told last of their things of one kind."""

    nodes: Mapping[str, Node]
    told: Mapping[str, Json]

    def silence(self, node: str) -> str | None:
        """Why it is not known how the things of a node are; None if it is."""
        return self.nodes.get(node, Node(node)).silence

    def of(self, family: _Family, version: int) -> Told | None:
        """What its node tells of a version; None if it has not done so since the family was changed last."""
        report = self.told.get(f"{family.node}/{family.family}")
        if report is None or report["updated"] != family.updated or str(version) not in report["versions"]:
            return None
        return _read(version, report["versions"][str(version)], report.get(MOVING, {}).get(str(version), {}))


class RemoteReports:
    """Reads the reports of the nodes that live."""

    def __init__(self, store: StoreReader, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def reports(self, kind: str) -> Reports:
        """What the other nodes tell of their containers or volumes."""
        nodes = self._nodes.others()
        return Reports(nodes, self._told(kind, nodes))

    def leftovers(self) -> tuple[Leftover, ...]:
        """The containers in the Docker of other nodes whose family is not on record any more."""
        found = self._told(LEFTOVERS, self._nodes.others())
        return tuple(_leftover(found[key]) for key in sorted(found))

    def rooms(self) -> tuple[DiskSpace, ...]:
        """How full the disks of the other nodes are."""
        found = self._told(DISKS, self._nodes.others())
        return tuple(room for key in sorted(found) for room in _rooms(key.partition("/")[0], found[key]))

    def _told(self, kind: str, nodes: Mapping[str, Node]) -> dict[str, Json]:
        living = [observed_prefix(kind, name) for name, node in nodes.items() if node.silence is None]
        entries = self._store.list(*living) if living else []
        return {entry.key.removeprefix(observed_prefix(kind)): entry.value for entry in entries}


def report(family: _Family, versions: Iterable[Told]) -> Json:
    """A family as its node reports it."""
    told = list(versions)
    moving = {str(one.version): asdict(one.usage) for one in told if one.usage != Usage()}
    return {
        "schema": 1,
        "updated": family.updated,
        "versions": {str(one.version): _written(one) for one in told},
        **({MOVING: moving} if moving else {}),
    }


def report_leftover(found: Leftover) -> Json:
    """A leftover as its node reports it; without what Docker says in words, which changes with the time."""
    return {"schema": 1, "container": {**asdict(found.container), "status": ""}, "drift": _drift_to_json(found.drift)}


def report_disks(rooms: Iterable[DiskSpace]) -> Json:
    """The disks of a node as it reports them."""
    told = list(rooms)
    return {
        "schema": 1,
        "disks": {room.path: {"total": room.total, "low": room.low} for room in told},
        MOVING: {room.path: room.free for room in told},
    }


def _written(told: Told) -> Json:
    mounts = [asdict(mount) for mount in told.mounts]
    return {
        "state": told.state,
        "drift": [_drift_to_json(found) for found in told.drift],
        **({"mounts": mounts} if mounts else {}),
    }


def _read(version: int, raw: Json, usage: Json) -> Told:
    drift = tuple(_drift_from_json(found) for found in raw["drift"])
    return Told(version, raw["state"], drift, [Mount(**mount) for mount in raw.get("mounts", ())], Usage(**usage))


def _rooms(node: str, raw: Json) -> list[DiskSpace]:
    return [DiskSpace(path, raw[MOVING][path], disk["total"], node) for path, disk in sorted(raw["disks"].items())]


def _leftover(raw: Json) -> Leftover:
    container = {**raw["container"], "labels": Labels(**raw["container"]["labels"])}
    return Leftover(Observed(**container), _drift_from_json(raw["drift"]))


def _drift_to_json(found: Drift) -> Json:
    return {"kind": found.kind, "reason": to_json(found.reason), "advice": to_json(found.advice)}


def _drift_from_json(raw: Json) -> Drift:
    return Drift(raw["kind"], from_json(raw["reason"]), from_json(raw["advice"]))
