"""Takes GPUs that fail out of service, and returns those that answer again; to be asked in one process of a node."""

from collections import Counter
from collections.abc import Mapping

from app.errors import Unavailable
from app.gpus.visibility import GpuVisibility
from app.model.gpu import Gpu, GpuEvent
from app.model.gpu_health import ABSENT, OutOfService, grave, xid_fault
from app.model.operation import now
from app.ports import Inventory
from app.state.gpus import GpuRecords, Recorded

WELL_PASSES = 5


class GpuHealth:
    """Compares what the inventory reports with the records of GPUs out of service.

    A GPU that is lost, or reported as faulty, returns by itself once it was well in WELL_PASSES passes in a row. One
    with an XID error never does: whether a reset has helped only an operator knows. It remembers, for its process,
    which GPUs there were and which events it could not record yet.
    """

    def __init__(self, records: GpuRecords, visibility: GpuVisibility, inventory: Inventory) -> None:
        self._records = records
        self._visibility = visibility
        self._inventory = inventory
        self._indexes: dict[str, int] = {}
        self._absent: set[str] = set()
        self._events: dict[str, GpuEvent] = {}
        self._well: Counter[str] = Counter()

    def check(self) -> list[str]:
        """Make a pass, and say in sentences what it changed; while NVML does not answer, nothing.

        Raises Unavailable when etcd does not answer; the next pass then does the same again.
        """
        gpus = self._look()
        if gpus is None:
            self._well.clear()
            return []
        recorded = self._records.all()
        changes = [self._settle(uuid, gpus.get(uuid), recorded.get(uuid, Recorded())) for uuid in list(self._indexes)]
        return [change for change in changes if change]

    def look_inside(self) -> list[str]:
        """Find running containers that lost their GPUs, and say in sentences what it changed; takes seconds.

        Raises Unavailable when etcd or Docker does not answer.
        """
        return self._visibility.look()

    def faults_inside(self) -> dict[str, str]:
        """The families whose newest version runs without its GPUs, and why."""
        return self._visibility.faults()

    def _look(self) -> Mapping[str, Gpu] | None:
        """The GPUs by UUID as they are now, after the events were heard; None if that cannot be told."""
        try:
            gpus = {gpu.uuid: gpu for gpu in self._inventory.gpus()}
            events = self._inventory.events()
        except Unavailable:
            return None
        self._indexes.update({gpu.uuid: gpu.index for gpu in gpus.values()})
        for event in events:
            if grave(event) and event.uuid in self._indexes:
                self._events.setdefault(event.uuid, event)
        return gpus

    def _settle(self, uuid: str, gpu: Gpu | None, before: Recorded) -> str | None:
        """Record what has become of one GPU; what changed, as a sentence. A rival's write lets it wait for a pass."""
        if before.problem:
            return None
        after = self._judge(uuid, gpu, before.out)
        if after != before.out and not self._records.write(uuid, after, before):
            return None
        self._events.pop(uuid, None)
        if gpu is not None:
            self._absent.discard(uuid)
        elif after is not None and after.fault == ABSENT:
            self._absent.add(uuid)
        return _sentence(uuid, before.out, after)

    def _judge(self, uuid: str, gpu: Gpu | None, out: OutOfService | None) -> OutOfService | None:
        """Return the record that a GPU is to get, whose present one is `out`; `gpu` is None for one that has gone."""
        if event := self._events.get(uuid):
            return self._taken(uuid, out, event.moment).faulty(xid_fault(event.xid), event.xid)
        if gpu is None:
            return self._gone(uuid, out)
        if gpu.fault is not None:
            self._well.pop(uuid, None)
            return out if out and out.fault else self._taken(uuid, out, now()).faulty(gpu.fault)
        if out is None or out.fault is None or out.code is not None:
            return out
        self._well[uuid] += 1
        if self._well[uuid] < WELL_PASSES:
            return out
        self._well.pop(uuid)
        return None if out.schedulable else out.well()

    def _gone(self, uuid: str, out: OutOfService | None) -> OutOfService | None:
        self._well.pop(uuid, None)
        if out is not None and out.fault:
            return out
        if uuid in self._absent:  # an operator cleared the fault: it was removed for good
            self._absent.discard(uuid)
            del self._indexes[uuid]
            return out
        return self._taken(uuid, out, now()).faulty(ABSENT)

    def _taken(self, uuid: str, out: OutOfService | None, moment: str) -> OutOfService:
        return out or OutOfService(moment, self._indexes[uuid])


def _sentence(uuid: str, before: OutOfService | None, after: OutOfService | None) -> str | None:
    old, new = before.fault if before else None, after.fault if after else None
    if old == new:
        return None
    if new is not None:
        return f"GPU {uuid} is taken out of service: {new}"
    return f"GPU {uuid} answers again and is " + ("back in service" if after is None else "kept out by an operator")
