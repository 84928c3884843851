"""Tells the other nodes how this one's containers, volumes and GPUs are: only what changed is written."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.agent.leadership import Leadership
from app.cluster import gpus, reports
from app.cluster.reports import MOVING, VersionReport
from app.containers.queries import ContainerQueries
from app.errors import Fenced, Unavailable
from app.model.alerts import DiskSpace
from app.model.messages import Text
from app.ports import Delete, Entry, Inventory, Put, Store
from app.state.keys import (
    CONTAINERS,
    DISKS,
    LEFTOVERS,
    OBSERVED,
    VOLUMES,
    observed_disks_key,
    observed_gpus_key,
    observed_prefix,
    reconciler_key,
)
from app.volumes.queries import VolumeQueries

Json = dict[str, Any]
_AT_ONCE = 100
# How often, in seconds, what only moves is written at most: there is one key of GPUs, but many of volumes.
_MOVES = {"gpus": 5.0, VOLUMES: 20.0, DISKS: 60.0}


class Reporter:
    """Compares how things are with what was told last. To be asked in the leading process of a node.

    What only moves, like the temperature of a GPU or what is in use of a volume or disk, is written now and then only.
    """

    def __init__(
        self,
        store: Store,
        leadership: Leadership,
        inquiry: ContainerQueries,
        volumes: VolumeQueries,
        inventory: Inventory,
        foreign_memory: int,
        disks: Callable[[], Sequence[DiskSpace]],
    ) -> None:
        self._store = store
        self._leadership = leadership
        self._inquiry = inquiry
        self._volumes = volumes
        self._inventory = inventory
        self._foreign_memory = foreign_memory
        self._read_disks = disks
        self._written_at: dict[str, float] = {}

    def report(self) -> int:
        """Look at everything and write what changed; how many keys that were.

        Raises Unavailable, naming the part without which nothing can be told, or Fenced.
        """
        node, gpus_key = self._leadership.node, observed_gpus_key(self._leadership.node)
        kinds = (CONTAINERS, VOLUMES, LEFTOVERS, DISKS, "gpus")
        entries = {entry.key: entry for entry in self._store.list(*(observed_prefix(kind, node) for kind in kinds))}
        last = {key: entry.value for key, entry in entries.items()}
        things = {**self._containers(), **self._of_volumes(), **self._disks()}
        now = {**things, gpus_key: self._gpus(entries.get(gpus_key))}
        writes: list[Put | Delete] = [
            *(Put(key, value) for key, value in now.items() if self._differs(key, last.get(key), value)),
            *(Delete(key) for key in last if key not in now),
        ]
        self._write(writes)
        return len(writes)

    def _containers(self) -> dict[str, Json]:
        views, leftovers = self._inquiry.here()
        prefix, left = (observed_prefix(kind, self._leadership.node) for kind in (CONTAINERS, LEFTOVERS))
        known = {
            prefix + view.family.family: reports.report(
                view.family, [VersionReport(each.record.version, each.state, each.drift) for each in view.versions]
            )
            for view in views
        }
        return {**known, **{left + found.container.name: reports.report_leftover(found) for found in leftovers}}

    def _of_volumes(self) -> dict[str, Json]:
        prefix = observed_prefix(VOLUMES, self._leadership.node)
        return {
            prefix + view.family.family: reports.report(
                view.family,
                [
                    VersionReport(each.record.version, each.state, each.drift, each.mounts, each.usage)
                    for each in view.versions
                ],
            )
            for view in self._volumes.here()
        }

    def _disks(self) -> dict[str, Json]:
        try:
            return {observed_disks_key(self._leadership.node): reports.report_disks(self._read_disks())}
        except Unavailable:
            return {}

    def _gpus(self, last: Entry | None) -> Json:
        try:
            return gpus.report(list(self._inventory.gpus()), self._foreign_memory)
        except Unavailable as exc:
            return gpus.unreadable(last, exc.message)

    def _differs(self, key: str, last: Json | None, value: Json) -> bool:
        if last == value:
            return False
        moved = self._written_at.get(key, float("-inf")) + _MOVES.get(_kind(key), 0.0)
        return last is None or _still(last) != _still(value) or time.monotonic() >= moved

    def _write(self, writes: Sequence[Put | Delete]) -> None:
        fence = {reconciler_key(self._leadership.node): self._leadership.revision}
        for begin in range(0, len(writes), _AT_ONCE):
            some = writes[begin : begin + _AT_ONCE]
            if self._store.transact(fence, some) is None:
                raise Fenced(Text("another process reconciles this node"))
            self._written_at.update(dict.fromkeys((write.key for write in some), time.monotonic()))


def _kind(key: str) -> str:
    return key.removeprefix(OBSERVED).partition("/")[0]


def _still(value: Mapping[str, Any]) -> Json:
    return {key: part for key, part in value.items() if key != MOVING}
