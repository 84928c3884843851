"""The agent of a node: the same application as gunicorn's, served to other nodes by the process that reconciles."""

import socket
import threading
import time
from typing import Any

import waitress
from flask import Flask

from app.config import Config
from app.errors import Unavailable
from app.model.messages import Text

_THREADS = 32
# What is under way gets that many seconds to end, as gunicorn gives it.
_PATIENCE = 1200
_SENDING = 10.0
_MAX_BODY = 2 << 20


class Agent:
    """Serves `app` at `config.node_bind`."""

    def __init__(self, app: Flask, config: Config) -> None:
        self._app = app
        self._config = config
        self._server: Any = None
        self._open: dict[int, Any] = {}

    def start(self) -> str:
        """Serve from now on, in threads of its own; the URL for other nodes. Raises Unavailable for a bad address."""
        listener = self._listen()
        # A change of minutes leaves its connection silent; waitress closes only those on which nothing is asked.
        self._server = waitress.create_server(
            self._app,
            map=self._open,
            sockets=[listener],
            threads=_THREADS,
            max_request_body_size=_MAX_BODY,
        )
        threading.Thread(target=self._server.run, name="agent", daemon=True).start()
        return self._config.node_url or _url(self._config.node_bind[0], listener.getsockname()[1])

    def _listen(self) -> socket.socket:
        """Before waitress does it, which would leave its threads behind if the address is in use."""
        host, port = self._config.node_bind
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as exc:
            message = Text("GPUDOCK_NODE_BIND: {url} cannot be listened on: {why}", url=_url(host, port), why=str(exc))
            raise Unavailable("node", message) from exc

    def stop(self) -> None:
        """Let requests under way end. To be called once the others know that this node answers no more."""
        if self._server is None:
            return
        self._server.task_dispatcher.shutdown(timeout=_PATIENCE)
        deadline = time.monotonic() + _SENDING
        while self._unsent() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _unsent(self) -> bool:
        """Tell whether the sending thread still has answers to send."""
        return any(getattr(connection, "total_outbufs_len", 0) for connection in list(self._open.values()))


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
