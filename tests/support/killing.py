"""gpudock with kill points: the product as it is, over the real backends in proxies that count what it writes.

`tests.support.killing:app` is the application for gunicorn and for `flask --app tests.support.killing reconcile`.
A request says in the header X-Kill-At, the reconcile process in the variable KILL_AT, when its process kills itself:

- `3`: right before its third writing call to etcd, Docker, the layers or the volumes; `3+`: right after it;
  `3~0.2`: 0.2 seconds after the call has begun, and at its end if it takes less. `3!`: there it is only stopped
  (SIGSTOP), and makes the call when somebody lets it go on.
- `record`: never; the answer's header X-Calls lists the writing calls instead, each with its duration in seconds.

Calls on behalf of anybody else, as of a worker that settles what a dead one left, are not counted.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from app import create_app
from app.bootstrap import build_backends
from app.config import load
from app.ports import Backends

HEADER, CALLS, VARIABLE = "X-Kill-At", "X-Calls", "KILL_AT"
_WRITING = {
    "store": {"transact"},
    "containers": {"create", "start", "stop", "remove"},
    "images": {"hold_image", "release_image", "commit", "name_commit", "drop_commit"},
    "docker_volumes": {"remove_volume"},
    "layers": {"sync", "set_aside", "discard"},
    "volumes": {"create", "sync", "set_aside", "discard", "discard_aside", "undo"},
    "transfer": {"copy_live", "settle", "finish"},
}
Start = Callable[..., Any]


@dataclass
class Fate:
    """When the process shall die, and the writing calls so far: names and seconds."""

    call: int | None = None
    after: bool = False
    delay: float | None = None
    pause: bool = False
    calls: list[tuple[str, float]] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> "Fate":
        """Read what a header or the variable says."""
        if text == "record":
            return cls()
        number, tilde, delay = text.rstrip("+!").partition("~")
        return cls(int(number), text.endswith("+"), float(delay) if tilde else None, text.endswith("!"))

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make a writing call, unless the process has to die before it."""
        meant = len(self.calls) + 1 == self.call
        if meant and self.pause:
            os.kill(os.getpid(), signal.SIGSTOP)
        elif meant and not self.after and self.delay is None:
            _die()
        if meant and self.delay is not None:
            threading.Timer(self.delay, _die).start()
        begun = time.monotonic()
        answer = call()
        # A transaction whose expectations failed has written nothing, and is tried again.
        if name != "store.transact" or answer is not None:
            self.calls.append((name, round(time.monotonic() - begun, 4)))
            if meant and not self.pause:
                _die()
        return answer


_fate: ContextVar[Fate | None] = ContextVar("fate", default=None)


class Counted:
    """Stands for a backend: its writing calls go through the caller's fate, all others go straight through."""

    def __init__(self, part: str, backend: Any) -> None:
        self._part, self._backend = part, backend

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._backend, name)
        if name == "begin":
            return lambda *args, **options: Counted("transfer", method(*args, **options))
        if name not in _WRITING[self._part]:
            return method

        def call(*args: Any, **options: Any) -> Any:
            fate = _fate.get()
            if fate is None:
                return method(*args, **options)
            return fate.around(f"{self._part}.{name}", lambda: method(*args, **options))

        return call


class Mortal:
    """WSGI middleware that gives each request its fate."""

    def __init__(self, serve: Callable[..., Iterable[bytes]]) -> None:
        self._serve = serve

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        asked = environ.get("HTTP_X_KILL_AT")
        if asked is None:
            return self._serve(environ, start_response)
        fate = Fate.read(asked)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, (CALLS, json.dumps(fate.calls))], *rest)

        token = _fate.set(fate)
        try:
            return self._serve(environ, start)
        finally:
            _fate.reset(token)


def counted(parts: Backends) -> Backends:
    """The same backends, counted."""
    names = ("store", "containers", "images", "docker_volumes", "layers", "volumes")
    proxies: dict[str, Any] = {name: Counted(name, getattr(parts, name)) for name in names}
    return replace(parts, **proxies)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # a signal takes a moment to arrive


_settings = load()
app = create_app(_settings, counted(build_backends(_settings)))
app.wsgi_app = Mortal(app.wsgi_app)  # type: ignore[method-assign]
if at := os.environ.get(VARIABLE):
    _fate.set(Fate.read(at))
