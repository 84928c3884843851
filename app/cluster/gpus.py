"""The GPUs of the other nodes: what each tells of its own, joined with the claims and the health in etcd."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from app.cluster.nodes import Nodes
from app.gpus.queries import GpuView, gone
from app.model.gpu import Gpu, GpuProcess, Holder, foreign
from app.model.messages import Sentence
from app.model.node import Node
from app.ports import Entry, StoreReader
from app.state.codec import encode, readable, try_read
from app.state.gpus import recorded
from app.state.keys import GPUS, HEALTH, OBSERVED_GPUS, observed_gpus_key

Json = dict[str, Any]
T = TypeVar("T")


class GpusElsewhere:
    """The GPUs of the other nodes."""

    def __init__(self, store: StoreReader, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def views(self) -> list[GpuView]:
        """Each with what its node told last, by node and index; claims and health are as of now."""
        nodes = self._nodes.others()
        if not nodes:
            return []
        entries = self._store.list(OBSERVED_GPUS, GPUS, HEALTH)
        told = _below(GpusReport, entries, OBSERVED_GPUS)
        return [
            view
            for name, node in nodes.items()
            if (report := told.get(observed_gpus_key(name).removeprefix(OBSERVED_GPUS)))
            for view in _of_node(node, _joined(report), entries)
        ]


@dataclass(frozen=True)
class StillGpu:
    """A GPU as it is written down, without its readings; those come in a Moving."""

    uuid: str
    index: int
    model: str | None = None
    memory_total: int | None = None
    fault: Sentence | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True)
class Readings:
    """The readings of a GPU."""

    memory_used: int | None = None
    utilisation: int | None = None
    temperature: int | None = None
    power: float | None = None


@dataclass(frozen=True)
class GpusReport:
    """The GPUs of a node as they are written down, and apart their readings, by UUID."""

    gpus: tuple[StillGpu, ...]
    moving: Mapping[str, Readings] = field(default_factory=dict)


def report(gpus: list[Gpu], threshold: int) -> Json:
    """GPUs as their node reports them; of processes those that may count as foreign (`threshold`: bytes)."""
    still = tuple(StillGpu(**_some(gpu, StillGpu, processes=foreign(gpu, None, threshold))) for gpu in gpus)
    return encode(GpusReport(still, {gpu.uuid: Readings(**_some(gpu, Readings)) for gpu in gpus}))


def unreadable(last: Entry | None, reason: str) -> Json:
    """The last report of a node on which NVML does not answer any more."""
    known = try_read(GpusReport, last) or GpusReport(())
    return encode(GpusReport(tuple(replace(gpu, fault=reason) for gpu in known.gpus)))


def _some(gpu: Gpu, cls: type, **others: object) -> dict[str, Any]:
    """The fields of a GPU that `cls` has too; `others` instead of its own."""
    return {field.name: others.get(field.name, getattr(gpu, field.name)) for field in fields(cls)}


def _of_node(node: Node, gpus: list[Gpu], entries: list[Entry]) -> list[GpuView]:
    out = {uuid: found.out for uuid, found in recorded(entries, f"{HEALTH}{node.name}/").items() if found.out}
    holders = _below(Holder, entries, f"{GPUS}{node.name}/")
    views = []
    for gpu in [*gpus, *gone(out, {gpu.uuid for gpu in gpus})]:
        holder = holders.get(gpu.uuid)
        views.append(GpuView(gpu, holder, foreign(gpu, holder, 0), out.get(gpu.uuid), node.name, node.silence))
    return sorted(views, key=lambda view: view.gpu.index)


def _below(cls: type[T], entries: list[Entry], prefix: str) -> Mapping[str, T]:
    found = readable(cls, (entry for entry in entries if entry.key.startswith(prefix)))
    return {entry.key.removeprefix(prefix): record for entry, record in found}


def _joined(report: GpusReport) -> list[Gpu]:
    return [Gpu(**vars(gpu), **vars(report.moving.get(gpu.uuid, Readings()))) for gpu in report.gpus]
