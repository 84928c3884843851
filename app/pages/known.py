"""What was known last, for the time in which a part does not answer; each process remembers its own."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, cast

from flask import Flask, current_app

_EXTENSION = "gpudock_known"
_MOST = 64


class LastKnown:
    """The last value of each question, of the `most` questions asked last, and when it was found out."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def remember(self, question: Hashable, value: Any) -> None:
        """Keep the answer."""
        with self._lock:
            self._values[question] = (time.monotonic(), value)
            self._values.move_to_end(question)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def recall(self, question: Hashable) -> tuple[Any, float] | None:
        """The last answer and its age in seconds; None if it was never asked, or too long ago."""
        with self._lock:
            found = self._values.get(question)
        return None if found is None else (found[1], time.monotonic() - found[0])


def init_app(app: Flask) -> None:
    """Give the app its memory."""
    app.extensions[_EXTENSION] = LastKnown()


def last_known() -> LastKnown:
    """The memory of the current app."""
    return cast(LastKnown, current_app.extensions[_EXTENSION])
