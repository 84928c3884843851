"""The GPUs of all nodes: free, in use or out of service, and everything known of each."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.errors import GpuContended, GpuNotFound, OnAnotherNode
from app.model.gpu import Gpu, GpuProcess, Holder, foreign
from app.model.gpu_health import ABSENT, DRAINED, OutOfService, advice
from app.model.messages import Text, joined
from app.model.operation import now
from app.ports import Inventory
from app.state.containers import Claims, Records
from app.state.gpus import GpuRecords

_ATTEMPTS = 10


@dataclass(frozen=True)
class GpuView:
    """A GPU, who holds it, the processes on it that are not its holder's, and what is recorded of its health.

    `silence` says why it is not known how it is; None if that is known.
    """

    gpu: Gpu
    holder: Holder | None
    foreign: tuple[GpuProcess, ...]
    out: OutOfService | None = None
    node: str = ""
    silence: str | None = None

    @property
    def schedulable(self) -> bool:
        """Tell whether the GPU may be given out when it is well, as an operator said last."""
        return self.out is None or self.out.schedulable

    @property
    def fault(self) -> str | None:
        """Say what is wrong with the GPU; None if it is healthy."""
        if self.silence:
            return self.silence
        recorded = self.out.fault if self.out else None
        if self.out and self.out.code is not None:  # the cause of what it shows now
            return recorded
        return self.gpu.fault or recorded

    @property
    def reason(self) -> str | None:
        """Say why the GPU is not given out although nobody holds it; None if nothing is wrong."""
        reasons = [self.fault] if self.fault else []
        if not self.schedulable:
            reasons.append(DRAINED)
        if not reasons and self.foreign:
            reasons.append(used_by(self.foreign))
        return joined(reasons) if reasons else None

    @property
    def advice(self) -> str | None:
        """Say what to do so that the GPU is given out; None if it is, or will be when its holder gives it up."""
        if self.silence:
            return Text("see to that host; nobody else gets the GPU meanwhile")
        found = advice(self.fault, self.out)
        if found and self.holder:
            return Text(
                "{advice}. {holder} keeps it until it is changed: stop and restart it to give it another",
                advice=found,
                holder=self.holder.family,
            )
        return found or (Text("end these processes if they should not be there") if self.foreign else None)

    @property
    def since(self) -> str | None:
        """When it went out of service; None if it is in service."""
        return (self.out.since or None) if self.out else None

    @property
    def free(self) -> bool:
        """Tell whether an allocation may take the GPU."""
        return self.holder is None and self.reason is None


def used_by(processes: Iterable[GpuProcess]) -> Text:
    """Say that these processes of others use a GPU, for people."""
    pids = ", ".join(str(process.pid) for process in processes)
    return Text("used by processes that gpudock did not start: {pids}", pids=pids)


class Gpus:
    """Joins the inventory with claims and health. Readings for the polled status are kept for `max_age` seconds."""

    def __init__(
        self,
        records: Records,
        health: GpuRecords,
        inventory: Inventory,
        foreign_memory: int,
        elsewhere: Callable[[], list[GpuView]] = list,
        max_age: float = 1.0,
    ) -> None:
        """`elsewhere` gives the GPUs of all other nodes."""
        self.elsewhere = elsewhere
        self._records = records
        self._health = health
        self._inventory = inventory
        self._foreign_memory = foreign_memory
        self._max_age = max_age
        self._lock = threading.Lock()
        self._readings: tuple[float, Sequence[Gpu]] = (float("-inf"), ())

    def status(self, node: str | None = None) -> dict[str, int]:
        """UUID to 0 (free) or 1 (in use, or not to be given out), of all nodes or one.

        Claims are current; readings are a second old at most, those of other nodes a few.
        """
        return {view.gpu.uuid: int(not view.free) for view in self._all(node, self._recent)}

    def all(self, node: str | None = None) -> list[GpuView]:
        """Every GPU of all nodes or one, by node and index; those out of service even if they have gone.

        This node's readings are as they are now, the others' as they were told last.
        """
        return self._all(node, self._inventory.gpus)

    def here(self) -> list[GpuView]:
        """The GPUs of this node."""
        return self._join(self._inventory.gpus())

    def one(self, uuid: str) -> GpuView:
        """The GPU with that UUID; GpuNotFound if there is none."""
        for view in self.all():
            if view.gpu.uuid == uuid:
                return view
        raise GpuNotFound(Text("there is no GPU {uuid}; GET /api/v1/gpus lists them", uuid=repr(uuid)))

    def schedule(self, uuid: str, schedulable: bool) -> tuple[GpuView, bool]:
        """Let a GPU be given out or not, and tell how it is then and whether that changed anything.

        True also clears a fault that gpudock found: if it is still there the next look takes the GPU out again.
        False stops nobody. Raises GpuNotFound, OnAnotherNode, or GpuContended if others change it all the time.
        """
        view = self.one(uuid)
        if view.node != self._records.node:
            message = Text("GPU {uuid} is on node {node}; ask there", uuid=uuid, node=view.node)
            raise OnAnotherNode(message, node=view.node)
        for _ in range(_ATTEMPTS):
            before = self._health.find(uuid)
            after = None if schedulable else (before.out or OutOfService(now(), view.gpu.index)).drained()
            if after == before.out:
                return replace(view, out=after), False
            if self._health.write(uuid, after, before):
                return replace(view, out=after), True
        raise GpuContended(Text("others change GPU {uuid} all the time; try again", uuid=uuid))

    def _all(self, node: str | None, read: Callable[[], Sequence[Gpu]]) -> list[GpuView]:
        mine = self._join(read()) if node in (None, self._records.node) else []
        others = self.elsewhere() if node != self._records.node else []
        found = [*mine, *(view for view in others if node in (None, view.node))]
        return sorted(found, key=lambda view: (view.node, view.gpu.index))

    def _join(self, gpus: Sequence[Gpu]) -> list[GpuView]:
        claims, out = self._records.claims(), self._health.out_of_service()
        known = [*gpus, *gone(out, {gpu.uuid for gpu in gpus})]
        unclear = {gpu.uuid: _held_unclearly(gpu, claims) for gpu in gpus if gpu.uuid in claims.problems}
        views = [self._view(gpu, claims.gpus.get(gpu.uuid), {**unclear, **out}.get(gpu.uuid)) for gpu in known]
        return sorted(views, key=lambda view: view.gpu.index)

    def _view(self, gpu: Gpu, holder: Holder | None, out: OutOfService | None) -> GpuView:
        return GpuView(gpu, holder, foreign(gpu, holder, self._foreign_memory), out, self._records.node)

    def _recent(self) -> Sequence[Gpu]:
        with self._lock:  # one thread reads while the others wait for what it finds
            taken, gpus = self._readings
            if time.monotonic() - taken >= self._max_age:
                gpus = self._inventory.gpus()
                self._readings = (time.monotonic(), gpus)
            return gpus


def _held_unclearly(gpu: Gpu, claims: Claims) -> OutOfService:
    """Return how a GPU counts whose holder's record cannot be read: as one that is not given out."""
    return OutOfService("", gpu.index, fault=claims.problems[gpu.uuid].message)


def gone(out: Mapping[str, OutOfService], present: set[str]) -> list[Gpu]:
    """The GPUs that are recorded but not there, at the index where they were."""
    return [Gpu(uuid, found.index, fault=ABSENT) for uuid, found in out.items() if uuid not in present]
