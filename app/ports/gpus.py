"""The GPUs of this host."""

from collections.abc import Sequence
from typing import Protocol

from app.model.gpu import Gpu, GpuEvent


class Inventory(Protocol):
    """The GPUs of this host."""

    def uuids(self) -> Sequence[str]:
        """The UUIDs of all GPUs, by index: cheap, may be a second old."""

    def gpus(self) -> Sequence[Gpu]:
        """Every GPU with its readings, faults and processes, now."""

    def events(self) -> Sequence[GpuEvent]:
        """The XID errors since this process's last call, without waiting for any; those before the first are unknown.

        To be called from one place, since each event is told once.
        """
