"""A store in memory that behaves like the one in etcd, with faults on demand."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.adapters.json_values import parse_object
from app.errors import InvalidRequest, OutcomeUnknown, Unavailable
from app.ports import Delete, Entry, Put

Fault = Literal["unavailable", "unknown-applied", "unknown-lost"]


@dataclass
class _Planned:
    kind: Fault
    skip: int


class MemoryStore:
    """`app.ports.Store` in a dict; thread safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._data: dict[str, tuple[str, int]] = {}
        self._revision = 1
        self._faults: list[_Planned] = []

    def fail_next(self, kind: Fault, skip: int = 0) -> None:
        """Make one call to come fail, after `skip` calls of the kind that it concerns.

        "unavailable" concerns every call; "unknown-applied" and "unknown-lost" concern `transact`, whose
        outcome is then not told: it happened, or it did not.
        """
        with self._lock:
            self._faults.append(_Planned(kind, skip))

    def get(self, key: str) -> Entry | None:
        with self._lock:
            self._fail("unavailable")
            return self._entry(key) if _checked(key) in self._data else None

    def list(self, *prefixes: str) -> list[Entry]:
        starts = tuple(_checked(prefix) for prefix in prefixes)
        with self._lock:
            self._fail("unavailable")
            return [self._entry(key) for key in sorted(self._data) if key.startswith(starts)]

    def transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        _check_writes(writes)
        with self._lock:
            self._fail("unavailable", "unknown-lost")
            outcome = self._apply(expected, writes)
            self._fail("unknown-applied")
            return outcome

    def put_leased(self, key: str, value: Mapping[str, Any], seconds: int) -> None:
        """Here the time never passes: a test deletes the key when it shall be over."""
        entry = self.get(key)
        if entry is None or entry.value != value:
            self.transact({}, [Put(key, value)])

    def ping(self) -> str:
        with self._lock:
            self._fail("unavailable")
            return "memory"

    def close(self) -> None:
        pass

    def _apply(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        if any(self._data.get(_checked(key), ("", 0))[1] != revision for key, revision in expected.items()):
            return None
        doomed = {key for write in writes if isinstance(write, Delete) for key in self._data if _deletes(write, key)}
        fresh = {write.key: _encoded(write) for write in writes if isinstance(write, Put)}
        self._revision += bool(doomed or fresh)
        self._data = {key: held for key, held in self._data.items() if key not in doomed}
        self._data.update({key: (value, self._revision) for key, value in fresh.items()})
        return self._revision

    def _entry(self, key: str) -> Entry:
        text, revision = self._data[key]
        value = parse_object(text)
        return Entry(key, {}, revision, text) if value is None else Entry(key, value, revision)

    def snapshot(self) -> dict[str, tuple[str, int]]:
        """All that is in it, for `bring_back`."""
        with self._lock:
            return dict(self._data)

    def bring_back(self, kept: dict[str, tuple[str, int]]) -> None:
        """Hold what was kept, and nothing else."""
        with self._lock:
            self._revision += 1
            self._data = dict(kept)

    def damage(self, key: str, text: str) -> None:
        """Put something at `key` that gpudock did not write."""
        with self._lock:
            self._revision += 1
            self._data[key] = text, self._revision

    def _fail(self, *kinds: Fault) -> None:
        for fault in [f for f in self._faults if f.kind in kinds]:
            if fault.skip:
                fault.skip -= 1
                continue
            self._faults.remove(fault)
            raise (Unavailable if fault.kind == "unavailable" else OutcomeUnknown)("etcd", f"planned: {fault.kind}")


def _checked(key: str) -> str:
    if not key.startswith("/"):
        raise ValueError(f"a key must begin with /: {key!r}")
    return key


def _check_writes(writes: Sequence[Put | Delete]) -> None:
    """The limits of an etcd transaction."""
    if len(writes) > 128:
        raise InvalidRequest("too much at once for etcd")
    puts = [_checked(write.key) for write in writes if isinstance(write, Put)]
    deletes = [write for write in writes if isinstance(write, Delete) and _checked(write.key)]
    if len(puts) != len(set(puts)) or any(_deletes(delete, key) for delete in deletes for key in puts):
        raise ValueError("a transaction may put a key once, and not delete it as well")


def _deletes(delete: Delete, key: str) -> bool:
    return key.startswith(delete.key) if delete.prefix else key == delete.key


def _encoded(put: Put) -> str:
    return json.dumps(dict(put.value))
