"""What a pass knows: Docker first and etcd after it, so that whatever Docker has is explained if it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from app.agent import leftovers
from app.agent.leftovers import Leftovers
from app.errors import Unavailable
from app.model.container import FamilyRecord, Inspected, Observed, VersionRecord
from app.model.gpu import Gpu, Holder
from app.model.operation import Operation
from app.ports import Engine, Entry, Host, Inventory, Store, Volumes
from app.state.codec import readable
from app.state.keys import (
    CONTAINERS,
    HISTORY,
    OPERATIONS,
    VOLUMES,
    families_prefix,
    gpus_prefix,
    is_version,
    ports_prefix,
)

log = structlog.get_logger()


@dataclass(frozen=True)
class FamilySnapshot:
    """A recorded family of this node, the revision of its record, and its newest version."""

    record: FamilyRecord
    revision: int
    current: VersionRecord


@dataclass(frozen=True)
class HeldClaim:
    """A GPU or host port that is claimed: its key and revision, and by whom. `gpu` is its UUID, None for a port."""

    key: str
    revision: int
    holder: Holder
    gpu: str | None


@dataclass(frozen=True)
class Snapshot:
    """Everything about this node's containers that a pass decides upon; what etcd says is as of one revision.

    `containers` are those of ours in Docker by id, `ended` those among the current versions that should run and do
    not. `undone` are the operations that were undone, as far as something in Docker still names one. `gpus` is None
    when the inventory does not answer.
    """

    families: Mapping[str, FamilySnapshot]
    versions: Mapping[str, VersionRecord]
    operations: Sequence[Operation]
    orphans: Sequence[Operation]
    claims: Sequence[HeldClaim]
    containers: Mapping[str, Observed]
    ended: Mapping[str, Inspected]
    undone: frozenset[str]
    leftovers: Leftovers
    gpus: Mapping[str, Gpu] | None

    @property
    def busy(self) -> set[str]:
        """The families that an operation works on: nobody else touches those."""
        return {operation.family for operation in self.operations if operation.resource == CONTAINERS}

    def recorded(self, container: Observed) -> VersionRecord | None:
        """The record of a container of ours, by its id; None if no version is known to be it."""
        return next((record for record in self.versions.values() if record.container_id == container.id), None)


class SnapshotReader:
    """Reads the snapshot of one node. Raises Unavailable: without Docker or etcd there is nothing to act upon."""

    def __init__(
        self, store: Store, engine: Engine, volumes: Volumes, inventory: Inventory, host: Host, node: str
    ) -> None:
        self._store = store
        self._engine = engine
        self._volumes = volumes
        self._inventory = inventory
        self._host = host
        self._node = node

    def read(self) -> Snapshot:
        """All snapshot, as they are now."""
        containers = {observed.id: observed for observed in self._engine.list()}
        found, gpus = leftovers.look(self._engine, self._volumes), self._gpus()
        records = families_prefix(CONTAINERS), families_prefix(VOLUMES)
        entries = self._store.list(*records, OPERATIONS, gpus_prefix(self._node), ports_prefix(self._node))
        left = leftovers.unneeded(found, entries, self._node)
        versions = self._versions(entries)
        families = self._families(entries, versions)
        running = readable(Operation, (entry for entry in entries if entry.key.startswith(OPERATIONS)))
        operations = [operation for _, operation in running]
        here = [operation for operation in operations if operation.node == self._node]
        return Snapshot(
            families=families,
            versions=versions,
            operations=here,
            orphans=[operation for operation in here if not self._host.process_alive(operation.owner)],
            claims=self._claims(entries),
            containers=containers,
            ended=self._ended(families, containers),
            undone=self._undone(containers, versions, here, left),
            leftovers=left,
            gpus=gpus,
        )

    def _versions(self, entries: Sequence[Entry]) -> dict[str, VersionRecord]:
        stored = (entry for entry in _of_containers(entries) if is_version(entry.key))
        return {record.name: record for _, record in readable(VersionRecord, stored) if record.node == self._node}

    def _families(self, entries: Sequence[Entry], versions: Mapping[str, VersionRecord]) -> dict[str, FamilySnapshot]:
        found = {}
        stored = (entry for entry in _of_containers(entries) if not is_version(entry.key))
        for entry, record in readable(FamilyRecord, stored):
            if current := versions.get(f"{record.family}-{record.current}"):
                found[record.family] = FamilySnapshot(record, entry.revision, current)
        return found

    def _claims(self, entries: Sequence[Entry]) -> list[HeldClaim]:
        gpus, ports = gpus_prefix(self._node), ports_prefix(self._node)
        return [
            HeldClaim(
                entry.key,
                entry.revision,
                holder,
                entry.key.removeprefix(gpus) if entry.key.startswith(gpus) else None,
            )
            for entry, holder in readable(Holder, (e for e in entries if e.key.startswith((gpus, ports))))
        ]

    def _ended(
        self, families: Mapping[str, FamilySnapshot], containers: Mapping[str, Observed]
    ) -> dict[str, Inspected]:
        """Looked at closely, since why they ended decides; few, if all is well."""
        found = {}
        for family in families.values():
            container = containers.get(family.current.container_id)
            if family.record.desired == "running" and container and not container.running:
                inspected = self._engine.inspect(container.id)
                if inspected is not None and not inspected.running:
                    found[inspected.id] = inspected
        return found

    def _undone(
        self,
        containers: Mapping[str, Observed],
        versions: Mapping[str, VersionRecord],
        operations: Sequence[Operation],
        left: Leftovers,
    ) -> frozenset[str]:
        known = {record.container_id for record in versions.values()}
        live = {operation.id for operation in operations}
        named = {c.labels.operation for c in containers.values() if c.labels and c.id not in known}
        named |= {*left.commits, *left.volumes.values()}
        ended = {name: self._store.get(HISTORY + name) for name in named - live}
        return frozenset(name for name, entry in ended.items() if entry and entry.value.get("outcome") == "undone")

    def _gpus(self) -> dict[str, Gpu] | None:
        try:
            return {gpu.uuid: gpu for gpu in self._inventory.gpus()}
        except Unavailable as exc:
            log.warning("the GPUs are not known", reason=exc.message)
            return None


def _of_containers(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.key.startswith(families_prefix(CONTAINERS))]
