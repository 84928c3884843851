"""XID errors of GPUs as NVML reports them: each GPU has an event set of its own, so that none blinds another one.

One that does not support events has none.
"""

from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any

import pynvml

from app.adapters.gpus.errors import GONE
from app.model.gpu import GpuEvent
from app.model.operation import now

# How long NVML may wait for an event of one GPU, and how many of them are read at once in a storm.
WAIT_MS = 5
_AT_MOST = 32


class XidEvents:
    """The events of one NVML session: `heard` are those that were read from NVML; whoever gets them removes them."""

    def __init__(self) -> None:
        self.heard: list[GpuEvent] = []
        self._sets: dict[str, Any] = {}
        self._silent: Set[str] = frozenset()

    def poll(self, well: Mapping[str, Any]) -> None:
        """Hear what is new. `well` are the handles of the GPUs that answer now.

        Raises NVMLError if NVML as a whole is gone.
        """
        for uuid, event_set in list(self._sets.items()):
            self._read(uuid, event_set)
        # A reset makes the driver forget what was registered.
        for uuid in self._silent & well.keys():
            self._drop(uuid)
        self._silent = self._sets.keys() - well.keys()
        for uuid, handle in well.items():
            if uuid not in self._sets:
                self._register(uuid, handle)

    def close(self) -> None:
        """Free everything; to be called before NVML is shut down."""
        for uuid in list(self._sets):
            self._drop(uuid)

    def _register(self, uuid: str, handle: Any) -> None:
        try:
            self._sets[uuid] = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, self._sets[uuid])
        except pynvml.NVMLError as exc:
            self._drop(uuid)
            if exc.value in GONE:  # else it is lost, or does not support events
                raise

    def _read(self, uuid: str, event_set: Any) -> None:
        try:
            for _ in range(_AT_MOST):
                data = pynvml.nvmlEventSetWait_v2(event_set, WAIT_MS)
                self.heard.append(GpuEvent(uuid, int(data.eventData), now()))
        except pynvml.NVMLError as exc:
            if exc.value in GONE:
                raise
            if exc.value != pynvml.NVML_ERROR_TIMEOUT:  # it is lost, or the set is of no use any more
                self._drop(uuid)

    def _drop(self, uuid: str) -> None:
        event_set = self._sets.pop(uuid, None)
        if event_set is not None:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(event_set)
