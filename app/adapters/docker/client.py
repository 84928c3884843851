"""Connections to the Docker engine."""

import os
import threading

from docker import APIClient
from docker.utils import version_lt

API_VERSION = "1.41"
QUICK = 4


class Clients:
    """docker-py clients for the engine at `base_url`; none is made before it is needed.

    A client is used by the thread and the process that asked for it only: it is a requests.Session, which
    is not safe to share, and a forked process must not speak on its parent's connections.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._version: str | None = None
        self._local = threading.local()

    def quick(self) -> APIClient:
        """Give a client that waits 4 s for an answer: enough for what Docker does at once, short if Docker hangs."""
        return self._client(QUICK)

    def patient(self, seconds: int) -> APIClient:
        """Give a client that waits `seconds` for an answer, of a Docker that does answer now."""
        self.quick().ping()
        return self._client(seconds)

    def _client(self, timeout: int) -> APIClient:
        key = (os.getpid(), timeout)
        clients: dict[tuple[int, int], APIClient] = self._local.__dict__.setdefault("clients", {})
        if key not in clients:
            clients[key] = APIClient(self._base_url, version=self._speak(), timeout=timeout)
        return clients[key]

    def _speak(self) -> str:
        # Docker 20.10 knows nothing above 1.41, Docker 29 accepts nothing below 1.44.
        if self._version is None:
            client = APIClient(self._base_url, version=API_VERSION, timeout=QUICK)
            oldest = client.version(api_version=False).get("MinAPIVersion", API_VERSION)
            client.close()
            self._version = oldest if version_lt(API_VERSION, oldest) else API_VERSION
        return self._version
