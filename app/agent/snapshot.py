"""The snapshot of a pass: Docker first and etcd after it, so that whatever Docker has is explained if it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from app.agent import leftovers
from app.agent.leftovers import Leftovers
from app.errors import Unavailable
from app.model.container import FamilyRecord, Inspected, Observed, VersionRecord
from app.model.gpu import Gpu, Holder
from app.model.names import versioned
from app.model.operation import Operation
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import (
    ContainerReader,
    Entry,
    Host,
    ImageReader,
    Inventory,
    StoreReader,
    VolumeReader,
)
from app.state.codec import readable
from app.state.containers import Containers
from app.state.families import survey
from app.state.keys import (
    CONTAINERS,
    HISTORY,
    OPERATIONS,
    VOLUMES,
    families_prefix,
    family_key,
    gpus_prefix,
    ports_prefix,
)
from app.state.operations import orphaned

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
    when the inventory does not answer. `unclear` are the families of which a record cannot be read.
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
    unclear: frozenset[str] = frozenset()

    @property
    def busy(self) -> set[str]:
        """The families that nobody else touches: an operation works on them, or one does not know what they are."""
        working = {operation.family for operation in self.operations if operation.resource == CONTAINERS}
        return working | self.unclear

    def recorded(self, container: Observed) -> VersionRecord | None:
        """The record of a container of ours, by its id; None if no version is known to be it."""
        return next((record for record in self.versions.values() if record.container_id == container.id), None)


class SnapshotReader:
    """Reads the snapshot of one node. Raises Unavailable: without Docker or etcd there is nothing to act upon."""

    def __init__(
        self,
        store: StoreReader,
        containers: ContainerReader,
        images: ImageReader,
        volumes: VolumeReader,
        inventory: Inventory,
        host: Host,
        node: str,
    ) -> None:
        self._store = store
        self._containers = containers
        self._images = images
        self._volumes = volumes
        self._inventory = inventory
        self._host = host
        self._node = node

    def read(self) -> Snapshot:
        """Read the snapshot as it is now."""
        containers = {observed.id: observed for observed in self._containers.list()}
        found, gpus = leftovers.look(self._images, self._volumes), self._gpus()
        records = families_prefix(CONTAINERS), families_prefix(VOLUMES)
        entries = self._store.list(*records, OPERATIONS, gpus_prefix(self._node), ports_prefix(self._node))
        stored = survey(entries, CONTAINERS, FamilyRecord, VersionRecord)
        volumes = survey(entries, VOLUMES, VolumeFamily, VolumeRecord)
        left = leftovers.unneeded(found, stored, volumes, self._node)
        versions = {name: record for name, record in stored.versions.items() if record.node == self._node}
        families = self._families(entries, stored, versions)
        operations = readable(Operation, (entry for entry in entries if entry.key.startswith(OPERATIONS)))
        here = [operation for _, operation in operations if operation.node == self._node]
        return Snapshot(
            families=families,
            versions=versions,
            operations=here,
            orphans=[operation for operation in here if orphaned(operation, self._node, self._host)],
            claims=self._claims(entries),
            containers=containers,
            ended=self._ended(families, containers),
            undone=self._undone(containers, versions, here, left),
            leftovers=left,
            gpus=gpus,
            unclear=frozenset(stored.unclear),
        )

    def _families(
        self, entries: Sequence[Entry], stored: Containers, versions: Mapping[str, VersionRecord]
    ) -> dict[str, FamilySnapshot]:
        revisions = {entry.key: entry.revision for entry in entries}
        return {
            record.family: FamilySnapshot(record, revisions[family_key(CONTAINERS, record.family)], current)
            for record in stored.families
            if (current := versions.get(versioned(record.family, record.current)))
        }

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
                inspected = self._containers.inspect(container.id)
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
        running = {operation.id for operation in operations}
        named = {c.labels.operation for c in containers.values() if c.labels and c.id not in known}
        named |= {*left.commits, *left.volumes.values()}
        ended = {name: self._store.get(HISTORY + name) for name in named - running}
        return frozenset(name for name, entry in ended.items() if entry and entry.value.get("outcome") == "undone")

    def _gpus(self) -> dict[str, Gpu] | None:
        try:
            return {gpu.uuid: gpu for gpu in self._inventory.gpus()}
        except Unavailable as exc:
            log.warning("the GPUs are not known", reason=exc.message)
            return None
