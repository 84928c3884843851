"""The GPUs of this node: free or in use, and everything known of each."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.gpus import Gpu, GpuProcess, Holder, foreign
from app.errors import GpuNotFound
from app.ports import Inventory
from app.services.records import Records


@dataclass(frozen=True)
class GpuView:
    """A GPU, who holds it, and the processes on it that are not its holder's."""

    gpu: Gpu
    holder: Holder | None
    foreign: tuple[GpuProcess, ...]

    @property
    def reason(self) -> str | None:
        """Why it is not given out although nobody holds it; None if nothing is wrong."""
        if self.gpu.fault:
            return self.gpu.fault
        if self.foreign:
            pids = ", ".join(str(process.pid) for process in self.foreign)
            return f"used by processes that gpudock did not start: {pids}"
        return None

    @property
    def free(self) -> bool:
        """Whether an allocation may take it."""
        return self.holder is None and self.reason is None


class Gpus:
    """Joins the inventory with the claims. Readings for the polled status are kept for `max_age` seconds."""

    def __init__(self, records: Records, inventory: Inventory, foreign_memory: int, max_age: float = 1.0) -> None:
        self._records = records
        self._inventory = inventory
        self._foreign_memory = foreign_memory
        self._max_age = max_age
        self._lock = threading.Lock()
        self._readings: tuple[float, Sequence[Gpu]] = (float("-inf"), ())

    def status(self) -> dict[str, int]:
        """UUID to 0 (free) or 1 (in use, or not to be given out). Claims are current, readings a second old at most."""
        return {view.gpu.uuid: int(not view.free) for view in self._join(self._recent())}

    def all(self) -> list[GpuView]:
        """Every GPU with its readings as they are now, by index."""
        return self._join(self._inventory.gpus())

    def one(self, uuid: str) -> GpuView:
        """The GPU with that UUID; GpuNotFound if there is none here."""
        for view in self.all():
            if view.gpu.uuid == uuid:
                return view
        raise GpuNotFound(f"there is no GPU {uuid!r} on this node; GET /api/v1/gpus lists them")

    def _join(self, gpus: Sequence[Gpu]) -> list[GpuView]:
        claims = self._records.claims().gpus
        return [self._view(gpu, claims.get(gpu.uuid)) for gpu in gpus]

    def _view(self, gpu: Gpu, holder: Holder | None) -> GpuView:
        return GpuView(gpu, holder, foreign(gpu, holder, self._foreign_memory))

    def _recent(self) -> Sequence[Gpu]:
        with self._lock:  # one thread reads while the others wait for what it finds
            taken, gpus = self._readings
            if time.monotonic() - taken >= self._max_age:
                gpus = self._inventory.gpus()
                self._readings = (time.monotonic(), gpus)
            return gpus
