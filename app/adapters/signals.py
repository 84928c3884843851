"""Hints that something changed in etcd or Docker, so that one need not wait for the next look at everything.

A hint may be missing or too many: after every connection, the first one too, there is one, since something may have
happened before. That of Docker is `ports.DOCKER_IS_BACK`, unless it only had nothing to tell for a while.
"""

import itertools
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import grpc
import requests
import urllib3
from docker.errors import DockerException
from docker.types import CancellableStream
from pyetcd import etcdrpc
from pyetcd.utils import prefix_range_end

from app.adapters.docker.client import QUICK, Clients
from app.adapters.docker.errors import answered
from app.adapters.etcd import connect
from app.ports import DOCKER_IS_BACK

_EVENTS = ("create", "start", "die", "kill", "oom", "destroy", "rename", "pause", "unpause")
# A Docker that says nothing for that many seconds may hang: it is asked anew.
_SILENCE = 60
_RECONNECT = 1.0
_GAP = 0.5
_BROKEN = (
    grpc.RpcError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    DockerException,
    OSError,
    ValueError,  # something that is no JSON, so perhaps not Docker
)


class Signals:
    """Implements `ports.Signals` for a Docker and one cluster of etcd; connects at the first `wait`.

    `endpoints` are (host, port) pairs, `prefix` begins every key; of claims those of GPUs of `node` are watched.
    Not to be used across a fork.
    """

    def __init__(self, docker_host: str, node: str, endpoints: Sequence[tuple[str, int]], prefix: str) -> None:
        self._clients = Clients(docker_host)
        self._endpoints = tuple(endpoints)
        self._prefix = prefix.rstrip("/")
        # Not nodes/: whoever waits here notes there that he looked, and would wake himself for ever.
        self._watched = ("operations/", "containers/", "volumes/", f"gpus/{node}/")
        # Its put may interrupt its get, so that a signal handler may call `close`.
        self._hints: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self._hang_up: dict[str, Callable[[], object]] = {}
        self._not_before = 0.0

    def wait(self, seconds: float) -> str | None:
        """Wait for a hint.

        Between two hints is half a second at least, by which the call may take longer; all that came until then
        is one hint.
        """
        self._start()
        try:
            first = self._hints.get(timeout=seconds)
        except queue.Empty:
            return None
        self._closed.wait(max(0.0, self._not_before - time.monotonic()))
        found = [first, *self._drain()]
        self._not_before = time.monotonic() + _GAP
        return None if None in found else ", ".join(dict.fromkeys(hint for hint in found if hint))

    def close(self) -> None:
        self._closed.set()
        self._hints.put(None)
        for hang_up in list(self._hang_up.values()):
            hang_up()
        for thread in self._threads:
            thread.join(2 * QUICK)

    def _start(self) -> None:
        if self._threads or self._closed.is_set():
            return
        for name, listen in (("docker", self._hear_docker), ("etcd", self._hear_etcd)):
            thread = threading.Thread(target=self._listen, args=(name, listen), name=f"signals-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _drain(self) -> Iterator[str | None]:
        while not self._hints.empty():
            yield self._hints.get()

    def _listen(self, name: str, listen: Callable[[int], None]) -> None:
        """Listen again whenever that breaks, for whatever reason: the looks in between find what was missed."""
        for attempt in itertools.count():
            with suppress(*_BROKEN):  # an outage: whoever looks meanwhile meets it too, and tells
                listen(attempt)
            self._hang_up.pop(name, None)
            if self._closed.wait(_RECONNECT):
                return

    def _connected(self, hint: str, name: str, hang_up: Callable[[], object]) -> None:
        self._hints.put(hint)
        self._hang_up[name] = hang_up
        if self._closed.is_set():  # `close` may have come too early to see it
            hang_up()

    def _hear_docker(self, _: int) -> None:
        hint = DOCKER_IS_BACK
        params = {"filters": json.dumps({"type": ["container", "volume"], "event": list(_EVENTS)})}
        while not self._closed.is_set():
            # docker-py's own method waits without a limit.
            client = self._clients.quick()
            url = f"{client.base_url}/v{client.api_version}/events"
            with client.get(url, params=params, stream=True, timeout=(QUICK, _SILENCE)) as answer:
                answered(answer)
                self._connected(hint, "docker", CancellableStream(iter(()), answer).close)
                if not self._hear_until_silence(answer):
                    return
            # It answers still, and keeps what happened in between: nothing is missed.
            hint, params["since"] = "docker heard", str(int(time.time()) - 1)

    def _hear_until_silence(self, answer: requests.Response) -> bool:
        """Pass events on until there was none for a while; False if Docker ended it."""
        try:
            for line in filter(None, answer.iter_lines()):
                self._hints.put(f"docker {json.loads(line).get('Action')}")
        except requests.ConnectionError as exc:
            if not isinstance(exc.args[0], urllib3.exceptions.ReadTimeoutError):
                raise
            return True
        return False

    def _hear_etcd(self, attempt: int) -> None:
        with connect(*self._endpoints[attempt % len(self._endpoints)]) as channel:
            # A member that lost its leader ends the watch instead of staying silent.
            call = etcdrpc.WatchStub(channel).Watch(iter(self._requests()), metadata=(("hasleader", "true"),))
            created = 0
            for reply in call:
                created += reply.created
                if reply.created and created == len(self._watched):
                    self._connected("etcd connected", "etcd", call.cancel)
                if reply.canceled:
                    return
                for event in reply.events:
                    self._hints.put(f"etcd {self._kind(event.kv.key)}")

    def _requests(self) -> list[Any]:
        starts = [f"{self._prefix}/{keys}".encode() for keys in self._watched]
        ranges = [etcdrpc.WatchCreateRequest(key=start, range_end=prefix_range_end(start)) for start in starts]
        return [etcdrpc.WatchRequest(create_request=create) for create in ranges]

    def _kind(self, key: bytes) -> str:
        return key.decode(errors="replace").removeprefix(f"{self._prefix}/").partition("/")[0]
