"""The GPUs of this host."""

from collections.abc import Sequence
from typing import Protocol

from app.model.gpu import Gpu, GpuEvent


class Inventory(Protocol):
    """Look at the GPUs of this host."""

    def uuids(self) -> Sequence[str]:
        """List the UUIDs of all GPUs, lost ones included, by index: cheap, may be a second old."""

    def gpus(self) -> Sequence[Gpu]:
        """Read every GPU with its readings, faults and processes, now."""

    def events(self) -> Sequence[GpuEvent]:
        """List the XID errors since this process's last call, without waiting; those before the first are unknown.

        To be called from one place, since each event is told once.
        """
