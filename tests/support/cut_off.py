"""A proxy before a Docker daemon that cuts the connection when the answer to a create comes."""

import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class CutOff:
    """Listens on a socket of its own while entered; the URL of that is what `with` gives."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._directory = tempfile.TemporaryDirectory(prefix="gpudock-")
        self._path = Path(self._directory.name) / "sock"
        self._server = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> str:
        self._server.bind(str(self._path))
        self._server.listen()
        self._run(self._accept)
        return f"unix://{self._path}"

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._directory.cleanup()

    def _run(self, work: Callable[..., None], *args: object) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as docker:
            docker.connect(self._target)
            creating = threading.Event()
            # Its own thread, since a request may come in parts, which Docker answers only when it has them all.
            self._run(_pass_on, client, docker, creating)
            while (answer := docker.recv(1 << 16)) and not creating.is_set():
                client.sendall(answer)
            with suppress(OSError):  # it may be gone already
                client.shutdown(socket.SHUT_RDWR)


def _pass_on(client: socket.socket, docker: socket.socket, creating: threading.Event) -> None:
    with suppress(OSError):  # cut off meanwhile
        while request := client.recv(1 << 16):
            if b"/containers/create" in request:
                creating.set()
            docker.sendall(request)
        docker.shutdown(socket.SHUT_WR)
