"""A real gunicorn with two workers: what pages remember is shared, and gone in the end."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import TOKEN, Server
from tests.support.volumes import remove_everything, wait_for

# By chance all of them may meet the same worker, in one of 32 runs; a killed one is surely another.
RELOADS = 6


@pytest.fixture
def etcd() -> Iterator[EtcdServer]:
    own = EtcdServer()
    own.start()
    yield own
    own.stop()


@pytest.fixture
def server(dockerd: Dockerd, image: str, etcd: EtcdServer) -> Iterator[Server]:
    own = Server(dockerd, etcd, {})
    own.start()
    yield own
    own.stop()
    remove_everything(dockerd)


class Visitor:
    """Logged in; each request comes on a connection of its own, so that any worker may answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cookies = requests.cookies.RequestsCookieJar()
        self.post("/login", "/login", token=TOKEN)

    def get(self, path: str) -> requests.Response:
        return self._keep(requests.get(self._server.url + path, cookies=self._cookies, timeout=60))

    def post(self, path: str, form: str, **fields: str) -> requests.Response:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(form).text)
        assert found, f"there is no form on {form}"
        data = {"csrf_token": found[1], **fields}
        url, cookies = self._server.url + path, self._cookies
        return self._keep(requests.post(url, data, cookies=cookies, timeout=60, allow_redirects=False))

    def _keep(self, answer: requests.Response) -> requests.Response:
        self._cookies.update(answer.cookies)
        return answer


def test_two_workers_know_the_same_last_and_run_a_command_once(server: Server, etcd: EtcdServer) -> None:
    server.data("POST", "/volumes", {"name": "vol", "size": "10MB"})
    server.create("foo", gpuCount=1, binds=[{"src": "vol-0", "dest": "/vol"}])
    visitor, (gpu,) = Visitor(server), server.in_use()
    _run_once(visitor, server)
    pages = {"/containers/foo": "foo-0", "/volumes/vol-0": "vol-0", f"/gpus/{gpu}": "GPU "}
    for path in pages:
        assert visitor.get(path).status_code == 200
    (shared,) = Path(server.log.parent).glob("gpudock-*")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    etcd.kill()
    for _ in range(RELOADS):
        for path, heading in pages.items():
            _is_last_known(visitor.get(path), heading)
    server.kill_workers()
    wait_for(lambda: _answers(visitor))
    for path, heading in pages.items():
        _is_last_known(visitor.get(path), heading)
        assert server.call("GET", path).status_code == 503
    assert visitor.get("/containers/nothing").status_code == 503
    assert visitor.post("/containers/foo/execute", "/create/volume", command="true").status_code == 503
    server.end()
    assert not shared.exists()


def _run_once(visitor: Visitor, server: Server) -> None:
    sent = visitor.post("/containers/foo/execute", "/containers/foo", command="sh -c 'echo x >>/vol/runs; echo ran'")
    assert sent.status_code == 303
    for _ in range(RELOADS):
        shown = visitor.get(sent.headers["Location"])
        assert shown.status_code == 200 and "Exit code 0" in shown.text and "ran\n</pre>" in shown.text
    assert server.sh("foo", "wc -l </vol/runs").strip() == "1"


def _is_last_known(answer: requests.Response, heading: str) -> None:
    assert answer.status_code == 200, answer.text
    assert f"<h1>{heading}" in answer.text and "etcd does not answer." in answer.text
    assert re.search(r"as last known, (\d+\.\d|\d+) s ago", answer.text)


def _answers(visitor: Visitor) -> bool:
    try:
        return visitor.get("/healthz").status_code == 200
    except requests.ConnectionError:  # a killed worker had accepted it
        return False
