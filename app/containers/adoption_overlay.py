"""GPUs and ports as they will be once a container that gpudock does not manage has stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.model.gpu import Gpu, GpuEvent
from app.ports import Host, Inventory


@dataclass(frozen=True)
class AdoptionInventory:
    """An inventory without the processes of a container, and without the GPUs that are not among `only` (if any)."""

    inventory: Inventory
    container: str
    only: frozenset[str]

    def uuids(self) -> Sequence[str]:
        """The UUIDs that are left, by index."""
        return [uuid for uuid in self.inventory.uuids() if self._counts(uuid)]

    def gpus(self) -> Sequence[Gpu]:
        """The GPUs that are left."""
        return [self._without(gpu) for gpu in self.inventory.gpus() if self._counts(gpu.uuid)]

    def events(self) -> Sequence[GpuEvent]:
        """None: those are for the one who looks after the health of GPUs."""
        return ()

    def _counts(self, uuid: str) -> bool:
        return not self.only or uuid in self.only

    def _without(self, gpu: Gpu) -> Gpu:
        return replace(gpu, processes=tuple(p for p in gpu.processes if p.container_id != self.container))


@dataclass(frozen=True)
class AdoptionHost:
    """A host on which `ports` are free."""

    host: Host
    ports: frozenset[int]

    def port_free(self, port: int) -> bool:
        """Tell if nobody will listen on the TCP port."""
        return port in self.ports or self.host.port_free(port)

    def real_directory(self, path: str) -> str:
        """As the host has it."""
        return self.host.real_directory(path)

    def process_alive(self, token: str) -> bool:
        """As the host has it."""
        return self.host.process_alive(token)

    def own_token(self) -> str:
        """As the host has it."""
        return self.host.own_token()
