"""The last known answers, for the time in which a part does not answer; the workers of one server share them."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, current_app

from app.web.shared_cache import SharedCache, shared_directory

_EXTENSION = "gpudock_known"
_MOST = 256
_MOST_SHARED, _MOST_BYTES = 1000, 64 << 20
# Pages are polled all the time; what is known changes little in that many seconds.
_SHARE_EVERY = 10.0


@dataclass(frozen=True)
class _Answer:
    """A value, when it was found out, and when a value of that question was last shared."""

    value: Any
    at: float
    shared_at: float = -math.inf


class LastKnown:
    """The last value of each question, of the `most` questions asked last, and when it was found out.

    Each process puts what it knows into the `shared` cache, at most every `share_every` seconds for a question. That is
    looked at only if a value is wanted.
    """

    def __init__(self, shared: SharedCache | None = None, most: int = _MOST, share_every: float = _SHARE_EVERY) -> None:
        self._shared = shared
        self._most = most
        self._share_every = share_every
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def remember(self, question: Hashable, value: Any) -> None:
        """Keep the answer. The `repr` of a question tells it from all others."""
        now = time.monotonic()
        with self._lock:
            before = self._answers.get(question)
            shared_at = before.shared_at if before else -math.inf
            due = self._shared is not None and now - shared_at >= self._share_every
            self._keep(question, _Answer(value, now, now if due else shared_at))
        if self._shared is not None and due:
            self._shared.put(repr(question), value)

    def recall(self, question: Hashable) -> tuple[Any, float] | None:
        """The last answer and its age in seconds; None if it was never asked, or too long ago."""
        with self._lock:
            found = self._answers.get(question)
        if self._shared is not None and (newer := self._shared.get(repr(question), found.at if found else -math.inf)):
            value, at = newer
            found = _Answer(value, at, at)
            with self._lock:
                self._keep(question, found)
        return None if found is None else (found.value, time.monotonic() - found.at)

    def _keep(self, question: Hashable, answer: _Answer) -> None:
        self._answers[question] = answer
        self._answers.move_to_end(question)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)


def init_app(app: Flask) -> None:
    """Give the app its memory."""
    directory = shared_directory()
    shared = SharedCache(directory / "known", _MOST_SHARED, _MOST_BYTES) if directory else None
    app.extensions[_EXTENSION] = LastKnown(shared)


def last_known() -> LastKnown:
    """The memory of the current app."""
    return cast(LastKnown, current_app.extensions[_EXTENSION])
