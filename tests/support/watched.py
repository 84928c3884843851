"""Backends in proxies that see each writing call before it is made: to forbid it, to die there, or to wait.

Which methods write is read off the ports: all that a part has beyond its reader.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from app import ports
from app.bootstrap import Services
from app.errors import DomainError
from app.operations.base import Request
from app.ports import Backends, Put, Store

READERS: Mapping[str, tuple[type, type]] = {
    "store": (ports.StoreReader, ports.Store),
    "containers": (ports.ContainerReader, ports.Containers),
    "images": (ports.ImageReader, ports.Images),
    "docker_volumes": (ports.DockerVolumeReader, ports.DockerVolumes),
    "layers": (ports.LayerReader, ports.Layers),
    "volumes": (ports.VolumeReader, ports.Volumes),
}


def methods(protocol: type) -> set[str]:
    """The names of what a port offers."""
    return {name for name in dir(protocol) if not name.startswith("_")}


WRITING = {part: methods(whole) - methods(reader) - {"ping"} for part, (reader, whole) in READERS.items()} | {
    "exec": {"execute"}
}


class Killed(BaseException):
    """The process dies here."""


class Watch:
    """What becomes of writing calls: while `forbidden` none may come, but of threads that were begun by `blocked`."""

    def __init__(self) -> None:
        self.forbidden = False
        self.written: list[str] = []
        self._meanwhile: dict[str, Callable[[], object]] = {}
        self._allowed: set[int] = set()

    def before(self, name: str) -> None:
        """Look at a writing call, as `part.method`, before it is made."""
        if self.forbidden and threading.get_ident() not in self._allowed:
            self.written.append(name)
            raise AssertionError(f"a preview called {name}")
        if action := self._meanwhile.pop(name, None):
            action()

    @contextmanager
    def nothing_written(self) -> Iterator[None]:
        """Fail if something is written within the block, whoever catches it."""
        self.written, self.forbidden = [], True
        try:
            yield
        finally:
            self.forbidden = False
        assert self.written == []

    def leave_behind(self, services: Services, store: Store, request: Request[Any], at: str) -> None:
        """Let the request's process die right before its first call `at`, like `containers.start`."""
        journal, owner = services.operations.journal, services.operations.runner.reader.host.own_token()
        self._meanwhile[at] = _die
        with (
            patch.object(journal, "recover", lambda *_: None),
            patch.object(journal, "_recover_in_background", lambda *_: None),
            pytest.raises(Killed),
        ):
            services.operations.run(request)
        for entry in store.list("/operations/"):
            if entry.value["owner"] == owner:
                store.transact({entry.key: entry.revision}, [Put(entry.key, {**entry.value, "owner": "gone"})])

    def blocked(self, services: Services, request: Request[Any], at: str) -> Callable[[], None]:
        """Begin the request in a thread and return once it waits right before its first call `at`; what ends that."""
        there, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            there.set()
            go_on.wait(60)

        def run() -> None:
            self._allowed.add(threading.get_ident())
            with suppress(DomainError):
                services.operations.run(request)

        self._meanwhile[at] = wait
        thread = threading.Thread(target=run)
        thread.start()
        assert there.wait(60), f"{request} did not come to {at}"

        def end() -> None:
            go_on.set()
            thread.join(60)

        return end


class Watched:
    """Stands for one part: its writing calls are shown to `watch` first, all others go straight through."""

    def __init__(self, part: str, backend: Any, watch: Watch) -> None:
        self._part, self._backend, self._watch = part, backend, watch

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._backend, name)
        if name not in WRITING[self._part]:
            return method

        def call(*args: Any, **options: Any) -> Any:
            self._watch.before(f"{self._part}.{name}")
            return method(*args, **options)

        return call


def watched(parts: Backends, watch: Watch) -> Backends:
    """The same backends, watched."""
    proxies: dict[str, Any] = {part: Watched(part, getattr(parts, part), watch) for part in WRITING}
    return replace(parts, **proxies)


def _die() -> None:
    raise Killed
