"""The reader, all that plans may look at: etcd, Docker, the disks and the GPUs, through ports that cannot write.

A plan gets nothing else, so it is a matter of types that a dry run changes nothing: mypy refuses a plan that writes.
Nor does reading have effects: no method of these ports mounts, pulls or makes anything in order to look at it.
"""

from dataclasses import dataclass

from app.model.operation import Kind, Operation, Parent, new_id, now
from app.operations.requester import requester
from app.ports import (
    ContainerReader,
    DockerVolumeReader,
    Host,
    ImageReader,
    Inventory,
    LayerReader,
    StoreReader,
    VolumeReader,
)
from app.state.containers import Records
from app.state.gpus import GpuRecordReader
from app.state.keys import CONTAINERS
from app.state.operations import OperationRecords, orphaned
from app.state.volumes import VolumeRecords


@dataclass(frozen=True)
class PlanSettings:
    """The settings that plans go by: which host ports may be given out, how much memory (bytes) of a GPU a foreign
    process may use, below which directories binds may be, and how many versions are kept (None: all).
    """

    port_range: tuple[int, int]
    foreign_memory: int
    bind_roots: tuple[str, ...]
    keep_versions: int | None = None


@dataclass(frozen=True)
class Reader:
    """Everything that a plan of one node may read."""

    node: str
    store: StoreReader
    containers: ContainerReader
    images: ImageReader
    docker_volumes: DockerVolumeReader
    layers: LayerReader
    volumes: VolumeReader
    inventory: Inventory
    host: Host
    settings: PlanSettings

    @property
    def records(self) -> Records:
        """The recorded containers."""
        return Records(self.store, self.node)

    @property
    def volume_records(self) -> VolumeRecords:
        """The recorded volumes."""
        return VolumeRecords(self.store, self.node)

    @property
    def gpu_records(self) -> GpuRecordReader:
        """The recorded GPUs."""
        return GpuRecordReader(self.store, self.node)

    @property
    def operations(self) -> OperationRecords:
        """The running operations, those of dead processes among them."""
        return OperationRecords(self.store)

    def orphans(self) -> list[Operation]:
        """List this node's operations whose processes died: whoever begins a change recovers them, a plan does not."""
        return [found for found in self.operations.all_running() if orphaned(found, self.node, self.host)]

    def draft(
        self, kind: Kind, family: str, version: int, resource: str = CONTAINERS, parent: Parent | None = None
    ) -> Operation:
        """Make the record of a new operation of this process, claiming nothing; for whoever asks for it."""
        asking = requester()
        return Operation(
            id=new_id(),
            kind=kind,
            family=family,
            version=version,
            node=self.node,
            owner=self.host.own_token(),
            started=now(),
            parent=parent,
            resource=resource,
            by=asking.by,
            who=asking.who,
            request=asking.request,
        )
