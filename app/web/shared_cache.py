"""A place for what pages keep a while: a file that the workers of one server share, or this process's memory."""

import hashlib
import math
import os
import pickle
import sqlite3
import stat
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

# Set by gunicorn's master for its workers: a directory that only they and it may enter.
DIRECTORY = "GPUDOCK_WORKERS_DIRECTORY"
_IN_MEMORY = ":memory:"
# Of a damaged file sqlite3 may not even be able to tell what it read.
_UNUSABLE = (sqlite3.Error, UnicodeError)
# Seconds to wait for another worker that writes.
_PATIENCE = 1.0
# What is lost when the host goes down is of no use afterwards, so nothing waits for the disk.
_BEGIN = (
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, at REAL, seal BLOB, value BLOB)",
)
_PUT = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)"
_GET = "SELECT at, seal, value FROM kept WHERE key = ? AND at > ?"
_PRUNE = """
    DELETE FROM kept WHERE at <= ? OR key IN (
        SELECT key FROM (
            SELECT key, row_number() OVER newest AS place, sum(length(value)) OVER newest AS bytes
            FROM kept WINDOW newest AS (ORDER BY at DESC)
        ) WHERE place > ? OR bytes > ?
    )
"""


class SharedCache:
    """Keeps values by key: the newest `most` of them, `most_bytes` bytes in all, each for `seconds` seconds.

    Without a `path` it is in memory. A file is to be in a directory that nobody else may write to: what is read there
    can make this process do anything. Whoever keeps something must be able to do without it: a full disk or a damaged
    file is logged and no error.
    """

    def __init__(self, path: Path | None, most: int, most_bytes: int, seconds: float = math.inf) -> None:
        self._path = path or _IN_MEMORY
        self._most = most
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def put(self, key: str, value: Any) -> bool:
        """Keep the value in the place of an earlier one, and let go what is too old or too much; whether that is so."""
        now, packed = time.monotonic(), pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        try:
            with self._lock, self._connection() as connection:
                connection.execute(_PUT, (key, now, _seal(now, packed), packed))
                connection.execute(_PRUNE, (now - self._seconds, self._most, self._most_bytes))
        except _UNUSABLE as exc:
            log.warning("nothing can be kept for pages", path=str(self._path), reason=str(exc))
            return False
        return len(packed) <= self._most_bytes

    def get(self, key: str, after: float = -math.inf) -> tuple[Any, float] | None:
        """The value and when it was put here, if that was later than `after`; None if it is not here.

        Times are those of the monotonic clock, which is the same for all processes of a host.
        """
        try:
            with self._lock, self._connection() as connection:
                row = connection.execute(_GET, (key, max(after, time.monotonic() - self._seconds))).fetchone()
        except _UNUSABLE as exc:
            log.warning("what was kept for pages cannot be read", path=str(self._path), reason=str(exc))
            return None
        at, seal, packed = row or (0.0, b"", None)
        if not isinstance(packed, bytes) or seal != _seal(at, packed):
            return None
        return pickle.loads(packed), at

    def _connection(self) -> sqlite3.Connection:
        """Made at the first use, so after the fork, and again if that failed."""
        if self._opened is None:
            self._opened = _connect(self._path)
            weakref.finalize(self, self._opened.close)
        return self._opened


def shared_directory() -> Path | None:
    """The directory that the workers of one gunicorn share; None without one, or if others may write to it."""
    if not (name := os.environ.get(DIRECTORY)):
        return None
    directory = Path(name)
    try:
        found = directory.stat()
    except OSError:  # whoever cleans up has removed it
        return None
    return directory if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077 else None


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    try:
        for statement in _BEGIN:
            connection.execute(statement)
    except _UNUSABLE:
        connection.close()
        raise
    return connection


def _seal(at: float, packed: bytes) -> bytes:
    """Return the checksum that tells a value that the disk damaged: to unpack one could do anything."""
    found = hashlib.blake2b(repr(at).encode(), digest_size=16)
    found.update(packed)
    return found.digest()
