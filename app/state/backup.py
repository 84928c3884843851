"""The whole state in etcd, read as of one revision and written back in steps that cannot be mistaken for a whole."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from app.errors import BackupUnsuitable, Conflict, StateExists
from app.model.backup import Backup
from app.model.messages import Text
from app.model.operation import now
from app.ports import Delete, Entry, Put, Store
from app.state import schema_version
from app.state.codec import encode, not_json
from app.state.keys import NODES, OBSERVED, RESTORED, RESTORING
from app.state.notes import RestoredState, Restoring

W = TypeVar("W", Put, Delete)
# One transaction of etcd takes 128 keys and 1.5 MiB.
_KEYS_AT_ONCE, _BYTES_AT_ONCE = 120, 768 << 10


class Backups:
    """Takes and restores backups of everything below `prefix`, for all nodes; what processes tell of themselves aside.

    That is what is below /nodes/ and /observed/: brought back, it would speak of what is long gone.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def take(self) -> Backup:
        """Return the state. Raises BackupUnsuitable if there is none, RestoreUnfinished if there is only a part.

        Records that cannot be read come along; but UnreadableRecord tells of something that is no JSON.
        """
        entries = self._entries()
        if RESTORING in entries:
            raise schema_version.unfinished()
        if not entries.keys() - {schema_version.KEY}:
            raise BackupUnsuitable(
                Text("there is nothing at {prefix} in etcd; see GPUDOCK_PREFIX and GPUDOCK_ETCD", prefix=self._prefix)
            )
        for entry in entries.values():
            if entry.text is not None:
                raise not_json(entry)
        return self._backup(entries)

    def restore(self, backup: Backup, replace: bool, save: Callable[[Backup], None]) -> None:
        """Bring the state of `backup` back, into an empty prefix or with `replace` in the place of what is there.

        That is passed to `save` first. Raises StateExists, BackupUnsuitable for another layout, and Conflict if
        somebody else writes meanwhile. A restore that broke off is told by RestoreUnfinished everywhere, and goes
        with `replace`.
        """
        if backup.layout != schema_version.VERSION:
            raise BackupUnsuitable(
                Text(
                    "the backup has key layout {found}, this gpudock knows {known}; see migrations_notes/",
                    found=backup.layout,
                    known=schema_version.VERSION,
                )
            )
        entries = self._entries()
        unfinished, holds_something = RESTORING in entries, bool(entries.keys() - {schema_version.KEY})
        if holds_something and not replace:
            raise schema_version.unfinished() if unfinished else self._exists(entries)
        if holds_something and not unfinished:
            save(self._backup(entries))
        self._write(backup, entries)

    def _write(self, backup: Backup, entries: Mapping[str, Entry]) -> None:
        before = entries.get(RESTORING)
        mark = Put(RESTORING, encode(Restoring(now(), backup.time)))
        revision = self._store.transact({RESTORING: before.revision if before else 0}, [mark])
        if revision is None:
            raise _meddled()
        fence = {RESTORING: revision}
        for old in _chunks([Delete(key) for key in entries if key != RESTORING]):
            self._transact(fence, old)
        puts = [Put(key, value) for key, value in backup.keys.items() if key not in (schema_version.KEY, RESTORED)]
        for chunk in _chunks(puts):
            self._transact({**fence, **dict.fromkeys((put.key for put in chunk), 0)}, chunk)
        self._finish(backup, fence, {put.key: put.value for put in puts})

    def _finish(self, backup: Backup, fence: Mapping[str, int], written: Mapping[str, Any]) -> None:
        found = {key: entry.value for key, entry in self._entries().items() if key != RESTORING}
        if found != written:
            raise _meddled()
        running = tuple(str(operation["id"]) for operation in backup.operations if "id" in operation)
        restored = encode(RestoredState(now(), backup.time, running))
        last: list[Put | Delete] = [
            Put(RESTORED, restored),
            Put(schema_version.KEY, backup.keys[schema_version.KEY]),
            Delete(RESTORING),
        ]
        self._transact({**fence, schema_version.KEY: 0}, last)

    def _transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> None:
        if self._store.transact(expected, writes) is None:
            raise _meddled()

    def _entries(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self._store.list("/") if not entry.key.startswith((NODES, OBSERVED))}

    def _backup(self, entries: Mapping[str, Entry]) -> Backup:
        schema = entries.get(schema_version.KEY)
        return Backup(
            prefix=self._prefix,
            nodes=tuple(sorted({node for e in entries.values() if isinstance(node := e.value.get("node"), str)})),
            layout=schema.value.get("schema", 0) if schema else 0,
            revision=max(entry.revision for entry in entries.values()),
            time=now(),
            keys={key: entry.value for key, entry in entries.items() if entry.text is None},
        )

    def _exists(self, entries: Mapping[str, Entry]) -> StateExists:
        return StateExists(
            Text(
                "etcd holds {count} keys at {prefix} already; add --replace to put the backup in their place",
                count=len(entries),
                prefix=self._prefix,
            )
        )


def _chunks(writes: Sequence[W]) -> Iterator[list[W]]:
    chunk: list[W] = []
    size = 0
    for write in writes:
        length = len(write.key) + (len(json.dumps(dict(write.value))) if isinstance(write, Put) else 0)
        if chunk and (len(chunk) == _KEYS_AT_ONCE or size + length > _BYTES_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(write)
        size += length
    if chunk:
        yield chunk


def _meddled() -> Conflict:
    return Conflict(Text("somebody else writes to etcd during the restore; stop gpudock on every node, then repeat it"))
