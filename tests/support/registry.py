"""A private image registry on loopback, which every Docker trusts without TLS."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}/data}}}}
http: {{addr: "{address}"}}
"""


class Registry:
    """Debian's docker-registry, with everything in a directory of its own."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._root = Path(tempfile.mkdtemp(prefix="gpudock-registry-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it answers."""
        config = self._root / "config.yml"
        config.write_text(_CONFIG.format(root=self._root, address=self.address))
        with (self._root / "log").open("wb") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self._root / "log").read_text()
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and delete what it has."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._root)

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://{self.address}/v2/", timeout=2).ok
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """One registry for all tests; what they push stays."""
    assert shutil.which("docker-registry"), "docker-registry is missing: apt-get install docker-registry"
    server = Registry()
    server.start()
    yield server
    server.stop()
