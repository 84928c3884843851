"""The GPUs of the other nodes: what each tells of its own, joined with the claims and the health in etcd."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from app.cluster.nodes import Nodes
from app.cluster.reports import MOVING
from app.gpus.queries import GpuView, gone
from app.model.gpu import Gpu, GpuProcess, foreign
from app.model.gpu_health import OutOfService
from app.model.messages import from_json, to_json
from app.model.node import Node
from app.ports import Entry, StoreReader
from app.state.containers import holder_from
from app.state.keys import GPUS, HEALTH, OBSERVED_GPUS, observed_gpus_key

Json = dict[str, Any]
_READINGS = ("memory_used", "utilisation", "temperature", "power")


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
        reports = {e.key: e.value for e in entries if e.key.startswith(OBSERVED_GPUS)}
        return [
            view
            for name, node in nodes.items()
            if (report := reports.get(observed_gpus_key(name)))
            for view in _of_node(node, _read(report), entries)
        ]


def report(gpus: list[Gpu], threshold: int) -> Json:
    """GPUs as their node reports them; of processes those that may count as foreign (`threshold`: bytes)."""
    return {
        "schema": 1,
        "gpus": [_written(replace(gpu, processes=foreign(gpu, None, threshold))) for gpu in gpus],
        MOVING: {gpu.uuid: {name: getattr(gpu, name) for name in _READINGS} for gpu in gpus},
    }


def unreadable(last: Json, reason: str) -> Json:
    """The last report of a node on which NVML does not answer any more."""
    return {**last, "gpus": [{**gpu, "fault": to_json(reason)} for gpu in last["gpus"]], MOVING: {}}


def _of_node(node: Node, gpus: list[Gpu], entries: list[Entry]) -> list[GpuView]:
    out = {uuid: OutOfService.from_json(raw) for uuid, raw in _below(entries, f"{HEALTH}{node.name}/").items()}
    holders = {uuid: holder_from(raw) for uuid, raw in _below(entries, f"{GPUS}{node.name}/").items()}
    views = []
    for gpu in [*gpus, *gone(out, {gpu.uuid for gpu in gpus})]:
        holder = holders.get(gpu.uuid)
        views.append(GpuView(gpu, holder, foreign(gpu, holder, 0), out.get(gpu.uuid), node.name, node.silence))
    return sorted(views, key=lambda view: view.gpu.index)


def _below(entries: list[Entry], prefix: str) -> Mapping[str, Json]:
    return {entry.key.removeprefix(prefix): entry.value for entry in entries if entry.key.startswith(prefix)}


def _written(gpu: Gpu) -> Json:
    fields = {key: value for key, value in asdict(gpu).items() if key not in _READINGS}
    # As it comes back, so that the two can be compared.
    return {**fields, "fault": to_json(gpu.fault), "processes": list(fields["processes"])}


def _read(raw: Json) -> list[Gpu]:
    moving = raw[MOVING]
    return [_read_one({**gpu, **moving.get(gpu["uuid"], {})}) for gpu in raw["gpus"]]


def _read_one(raw: Json) -> Gpu:
    processes = tuple(GpuProcess(**process) for process in raw["processes"])
    return Gpu(**{**raw, "fault": from_json(raw["fault"]), "processes": processes})
