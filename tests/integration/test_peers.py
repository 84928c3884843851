"""Requests to other nodes, on real sockets: what comes back, and what is known when nothing does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from app.adapters.peers import HttpPeers
from app.errors import NodeCutOff, NodeUnreachable, Unavailable
from app.ports import Message
from app.web.agent_server import Agent
from tests.support.site import CLOSED, TOKEN, Site

# Resolved, the dots would stop a container.
TARGET = "/api/v1/images/../%2E%2E/./containers/foo-0/stop?x=%2F"
CHANGE = Message("PATCH", TARGET, (("X-Mine", "1"),), b'{"a": 1}')
ANSWER = (
    b"HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2, 3\r\nContent-Length: 2\r\n\r\nhi"
)


@contextmanager
def listener(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """The URL of a server that treats one connection as `serve` says, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield "http://{}:{}".format(*server.getsockname())
        thread.join(10)
        assert not thread.is_alive()


def test_a_request_arrives_and_its_answer_comes_back_as_they_are() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while not (seen and b"".join(seen).endswith(CHANGE.body)):
            seen.append(connection.recv(65536))
        connection.sendall(ANSWER)

    with listener(serve) as url:
        reply = HttpPeers().ask("two", url, CHANGE)
    head = b"".join(seen).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == f"PATCH {TARGET} HTTP/1.1"
    assert {"X-Mine: 1", "Content-Length: 8"} <= set(head)
    assert (reply.status, reply.body) == (302, b"hi")
    assert [value for name, value in reply.headers if name == "Set-Cookie"] == ["a=1", "b=2, 3"]


def test_where_nobody_listens_nothing_was_changed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "http://{}:{}".format(*server.getsockname())
    with pytest.raises(NodeUnreachable, match="nothing was changed"):
        HttpPeers().ask("two", url, CHANGE)


def test_after_a_change_was_sent_nobody_knows_and_of_a_read_nothing_was_changed() -> None:
    for message, error in ((CHANGE, NodeCutOff), (replace(CHANGE, method="GET"), NodeUnreachable)):
        for part in (b"", ANSWER[:-1]):

            def serve(connection: socket.socket, part: bytes = part) -> None:
                connection.recv(65536)
                connection.sendall(part)

            with listener(serve) as url, pytest.raises(error, match="two"):
                HttpPeers().ask("two", url, message)


def test_the_environment_s_proxies_are_not_for_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(ANSWER)

    with listener(serve) as url:
        assert HttpPeers().ask("two", url, CHANGE).status == 302


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_agent_says_where_it_is_and_that_its_address_is_taken(host: str) -> None:
    site = Site(CLOSED)
    port = int(Agent(site.app, replace(CLOSED, node_bind=(host, 0))).start().rpartition(":")[2])
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    assert HttpPeers().ask("two", url, Message("GET", "/healthz", (), b"")).status == 200
    taken = replace(CLOSED, node_bind=(host, port), node_url="http://elsewhere")
    before = threading.active_count()
    with pytest.raises(Unavailable, match="GPUDOCK_NODE_BIND"):
        Agent(site.app, taken).start()
    assert threading.active_count() == before
    assert Agent(site.app, replace(taken, node_bind=(host, 0))).start() == "http://elsewhere"


def test_an_agent_serves_the_application_and_lets_what_is_under_way_end() -> None:
    site = Site(CLOSED)
    begun, go_on = threading.Event(), threading.Event()

    @site.app.get("/api/v1/slow")
    def slow() -> str:
        begun.set()
        assert go_on.wait(10)
        return "done"

    agent = Agent(site.app, site.services.config)
    url = agent.start()
    assert url.startswith("http://127.0.0.1:")
    headers = (("Authorization", f"Bearer {TOKEN}"),)
    assert HttpPeers().ask("two", url, Message("GET", "/api/v1/gpus", (), b"")).status == 401
    assert HttpPeers().ask("two", url, Message("GET", "/api/v1/gpus", headers, b"")).status == 200
    told: list[bytes] = []
    asking = threading.Thread(
        target=lambda: told.append(HttpPeers().ask("two", url, Message("GET", "/api/v1/slow", headers, b"")).body)
    )
    asking.start()
    assert begun.wait(10)
    stopping = threading.Thread(target=agent.stop)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive(), "it ended in the middle of a request"
    go_on.set()
    for thread in (stopping, asking):
        thread.join(10)
        assert not thread.is_alive()
    assert told == [b"done"]
