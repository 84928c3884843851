"""GPUs that do not exist, to try gpudock and to develop it on a machine without any."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from app.model.gpu import Gpu, GpuEvent

MEMORY = 80 << 30
_NAMESPACE = UUID("6f1d2f5e-3c0b-4f57-9a4e-2d1b8c7a9e10")


class SimulatedInventory:
    """Implements `ports.Inventory` by `count` idle GPUs. A node's UUIDs are the same in every process, always."""

    def __init__(self, count: int, node: str) -> None:
        self._gpus = tuple(_gpu(node, index) for index in range(count))

    def uuids(self) -> Sequence[str]:
        return tuple(gpu.uuid for gpu in self._gpus)

    def gpus(self) -> Sequence[Gpu]:
        return self._gpus

    def events(self) -> Sequence[GpuEvent]:
        return ()


def _gpu(node: str, index: int) -> Gpu:
    return Gpu(
        uuid=f"GPU-{uuid5(_NAMESPACE, f'{node}/{index}')}",
        index=index,
        model="Simulated GPU",
        memory_total=MEMORY,
        memory_used=0,
        utilisation=0,
        temperature=35,
        power=50.0,
    )
