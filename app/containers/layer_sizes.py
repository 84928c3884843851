"""The sizes of the writable layers of containers, measured beside the requests that want to know."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.errors import DomainError
from app.model.container import VersionRecord
from app.ports import LayerReader

_MAX_AGE = 10.0
# Measuring means to walk through all files: with no layer for more than a hundredth of the time.
_RARELY = 100
_MOST = 10_000


@dataclass(frozen=True)
class _Size:
    bytes: int | None
    stale_at: float


class LayerSizes:
    """Remembers the sizes for this process; a thread of its own measures what is asked for and not known, or old."""

    def __init__(self, layers: LayerReader, node: str) -> None:
        self._layers = layers
        self._node = node
        self._sizes: dict[str, _Size] = {}
        self._waiting: dict[str, VersionRecord] = {}
        self._working = False
        self._news = threading.Condition()

    def of(self, records: Sequence[VersionRecord], patience: float = 0.0) -> dict[str, int]:
        """Bytes on disk by versioned name, of those that are known within `patience` seconds."""
        ours = {_key(record): record for record in records if record.node == self._node}
        with self._news:
            self._want(ours)
            self._news.wait_for(lambda: ours.keys() <= self._sizes.keys(), patience)
            known = {record.name: self._sizes[key].bytes for key, record in ours.items() if key in self._sizes}
        return {name: size for name, size in known.items() if size is not None}

    def _want(self, records: dict[str, VersionRecord]) -> None:
        now = time.monotonic()
        for key, record in records.items():
            if key not in self._sizes or self._sizes[key].stale_at < now:
                self._waiting.setdefault(key, record)
        if self._waiting and not self._working:
            self._working = True
            threading.Thread(target=self._work, name="layer-sizes", daemon=True).start()

    def _work(self) -> None:
        try:
            while task := self._next():
                self._learn(*task)
        except BaseException:
            with self._news:  # whoever asks next starts another thread
                self._working = False
            raise

    def _learn(self, key: str, record: VersionRecord) -> None:
        begun = time.monotonic()
        size = self._measure(record)
        ended = time.monotonic()
        age = max(_MAX_AGE, _RARELY * (ended - begun))
        with self._news:
            self._sizes.pop(key, None)
            self._sizes[key] = _Size(size, ended + age)
            self._forget(list(self._sizes)[:-_MOST])
            self._news.notify_all()

    def _next(self) -> tuple[str, VersionRecord] | None:
        with self._news:
            if not self._waiting:
                self._working = False
                return None
            key = next(iter(self._waiting))
            return key, self._waiting.pop(key)

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._sizes[key]

    def _measure(self, record: VersionRecord) -> int | None:
        """Bytes, or None where there is no layer that could be measured."""
        try:
            return self._layers.measure(record.layer or self._layers.locate(record.container_id))[0]
        except DomainError:  # gone meanwhile, or Docker is down: asked again when it is wanted again
            return None


def _key(record: VersionRecord) -> str:
    return record.layer or record.container_id
