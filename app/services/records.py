"""The key layout in etcd, in one place, and the reading of records (see migrations_notes/)."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.containers import FamilyRecord, VersionRecord
from app.domain.gpus import Holder
from app.domain.naming import Name
from app.errors import ContainerNotFound, NotNewestVersion, OnAnotherNode
from app.ports import Delete, Put, Store

FAMILIES = "/containers/"
OPERATIONS = "/operations/containers/"
HISTORY = "/history/"


def family_key(family: str) -> str:
    """Where a family's record is."""
    return FAMILIES + family


def versions_prefix(family: str) -> str:
    """What every version record of a family begins with."""
    return f"{FAMILIES}{family}/versions/"


def version_key(family: str, version: int) -> str:
    """Where the record of one version is."""
    return f"{versions_prefix(family)}{version}"


def operation_key(family: str) -> str:
    """Where the one running operation of a family is: its mutex."""
    return OPERATIONS + family


def gpus_prefix(node: str) -> str:
    """What the claims of a node's GPUs begin with."""
    return f"/gpus/{node}/"


def ports_prefix(node: str) -> str:
    """What the claims of a node's host ports begin with."""
    return f"/ports/{node}/"


@dataclass(frozen=True)
class FamilyState:
    """A family's record, its revision for compare-and-set, and the record of its newest version."""

    record: FamilyRecord
    revision: int
    current: VersionRecord


@dataclass(frozen=True)
class Claims:
    """Who holds the GPUs (by UUID) and the host ports of one node, as of one revision."""

    gpus: dict[str, Holder]
    ports: dict[int, Holder]

    def gpus_of(self, family: str) -> list[str]:
        """The UUIDs that a family holds."""
        return [uuid for uuid, holder in self.gpus.items() if holder.family == family]

    def ports_of(self, family: str) -> list[int]:
        """The host ports that a family holds."""
        return [port for port, holder in self.ports.items() if holder.family == family]


class Records:
    """Reads the truth of one node, and builds the writes that change it."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self.node = node

    def find(self, family: str) -> FamilyState | None:
        """The family as recorded, or None."""
        entry = self._store.get(family_key(family))
        if entry is None:
            return None
        record = FamilyRecord.from_json(entry.value)
        current = self._store.get(version_key(family, record.current))
        if current is None:  # erased between the two reads
            return None
        return FamilyState(record, entry.revision, VersionRecord.from_json(current.value))

    def require(self, name: Name) -> FamilyState:
        """The family of `name`, if it lives here; ContainerNotFound or OnAnotherNode otherwise."""
        state = self.find(name.family)
        if state is None or (name.version is not None and name.version > state.record.current):
            raise ContainerNotFound(f"there is no container {name}; GET /api/v1/containers lists them")
        if state.record.node != self.node:
            raise OnAnotherNode(f"{name} is on node {state.record.node}; ask there", node=state.record.node)
        return state

    def newest(self, name: Name) -> FamilyState:
        """As `require`, and NotNewestVersion if `name` is an older version."""
        state = self.require(name)
        if name.version not in (None, state.record.current):
            raise NotNewestVersion(
                f"{name} is not the newest version; use {state.current.name}", newest=state.current.name
            )
        return state

    def version(self, name: Name) -> VersionRecord:
        """The record of that very version (the newest for a bare family); ContainerNotFound if it has none."""
        state = self.require(name)
        if name.version in (None, state.record.current):
            return state.current
        entry = self._store.get(version_key(name.family, name.version or 0))
        if entry is None:
            raise ContainerNotFound(f"version {name} was deleted; the newest is {state.current.name}")
        return VersionRecord.from_json(entry.value)

    def versions(self, family: str) -> list[VersionRecord]:
        """Every recorded version of a family, oldest first."""
        records = [VersionRecord.from_json(e.value) for e in self._store.list(versions_prefix(family))]
        return sorted(records, key=lambda record: record.version)

    def everything(self) -> tuple[list[FamilyRecord], dict[str, VersionRecord]]:
        """All families of all nodes by name, and all versions by versioned name, as of one revision."""
        families, versions = [], {}
        for entry in self._store.list(FAMILIES):
            if "/versions/" in entry.key:
                version = VersionRecord.from_json(entry.value)
                versions[version.name] = version
            else:
                families.append(FamilyRecord.from_json(entry.value))
        return sorted(families, key=lambda family: family.family), versions

    def claims(self) -> Claims:
        """Who holds what on this node."""
        gpus, ports = gpus_prefix(self.node), ports_prefix(self.node)
        entries = {e.key: _holder(e.value) for e in self._store.list(gpus, ports)}
        return Claims(
            {key.removeprefix(gpus): holder for key, holder in entries.items() if key.startswith(gpus)},
            {int(key.removeprefix(ports)): holder for key, holder in entries.items() if key.startswith(ports)},
        )

    def images_in_use(self) -> set[str]:
        """The image ids that some version record or running operation of this node needs."""
        entries = self._store.list(FAMILIES, OPERATIONS)
        return {e.value["image_id"] for e in entries if e.value["node"] == self.node and e.value.get("image_id")}

    def claim_keys(self, gpus: Iterable[str], ports: Iterable[int]) -> list[str]:
        """The keys of these GPUs and host ports."""
        return [gpus_prefix(self.node) + uuid for uuid in gpus] + [ports_prefix(self.node) + str(p) for p in ports]

    def put_claims(self, holder: Holder, gpus: Iterable[str], ports: Iterable[int]) -> list[Put]:
        """Writes that make `holder` the holder of these GPUs and host ports."""
        value = {"schema": 1, **vars(holder)}
        return [Put(key, value) for key in self.claim_keys(gpus, ports)]

    def release(self, gpus: Iterable[str], ports: Iterable[int]) -> list[Delete]:
        """Writes that give these GPUs and host ports up."""
        return [Delete(key) for key in self.claim_keys(gpus, ports)]


def _holder(raw: dict[str, object]) -> Holder:
    return Holder(**{key: value for key, value in raw.items() if key != "schema"})  # type: ignore[arg-type]
