"""Two nodes, one cluster: any of them answers for both, and what is one's own is done there."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.nodes import GPUS, Pair, pair
from tests.support.registry import Registry
from tests.support.server import TOKEN, Server
from tests.support.volumes import wait_for

ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@pytest.fixture(scope="module")
def nodes(dockerd: Dockerd, image: str) -> Iterator[Pair]:
    """Two nodes; each test removes what it made."""
    with pair(dockerd) as both:
        yield both


def listed(server: Server, what: str, query: str = "") -> dict[str, tuple[str, str]]:
    """The names of all containers or volumes, each with its node and state."""
    return {found["name"]: (found["node"], found["state"]) for found in server.data("GET", f"/{what}{query}")[what]}


def gpus(server: Server, node: str) -> list[int]:
    return sorted(server.data("GET", f"/gpus?node={node}")["gpuStatus"].values())


def begin(server: Server, *call: Any) -> str:
    """Make a change in the background; the path of its operation."""
    answer = server.call(*call, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"].removeprefix("/api/v1")


def in_docker(dockerd: Dockerd) -> dict[str, str]:
    lines = dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    return dict(line.split() for line in lines)


def test_a_container_is_worked_with_through_the_other_node(nodes: Pair) -> None:
    one, two = nodes.one, nodes.two
    made = one.create("foo", node="two", gpuCount=1, env=["A=B"], cmd=["sh", "-c", "echo hello; exec sleep 1000000"])
    assert made["name"] == "foo-0" and in_docker(nodes.docker_two) == {"foo-0": "running"}
    assert in_docker(nodes.docker_one) == {}
    assert listed(one, "containers") == listed(two, "containers") == {"foo-0": ("two", "running")}
    assert listed(one, "containers", "?node=one") == {} and listed(two, "containers", "?node=two").keys() == {"foo-0"}
    assert one.sh("foo-0", "echo $A; echo kept >/root/file") == "B\n"
    assert one.data("GET", "/containers/foo-0/logs")["logs"] == "hello\r\n"

    changed = one.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3})
    assert changed["name"] == "foo-1" and one.sh("foo", "cat /root/file") == "kept\n"
    operation = two.data("GET", "/operations?name=foo&limit=1")["operations"][0]
    assert (operation["kind"], operation["node"], operation["state"]) == ("gpu", "two", "done")
    assert gpus(one, "two") == gpus(two, "two") == [0, 1, 1, 1] and gpus(two, "one") == [0] * GPUS
    detail = one.data("GET", "/containers/foo")
    assert [version["state"] for version in detail["versions"]] == ["running", "stopped"]

    one.data("PATCH", "/containers/foo-1/stop")
    assert listed(one, "containers") == {"foo-1": ("two", "stopped")} and gpus(one, "two") == [0] * GPUS
    assert one.data("PATCH", "/containers/foo-1/restart")["name"] == "foo-2"
    wait_for(lambda: listed(one, "containers") == {"foo-2": ("two", "running")})
    refused = one.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1}, headers={"X-Request-Id": "mine"})
    assert refused.status_code == 409 and refused.json()["code"] == 1034 and refused.json()["requestId"] == "mine"
    assert refused.headers["X-Request-Id"] == "mine"

    slow = 'trap "sleep 2" TERM; echo ready; while :; do sleep 0.1; done'
    one.create("slow", node="two", cmd=["sh", "-c", slow])
    wait_for(lambda: "ready" in one.data("GET", "/containers/slow/logs")["logs"])
    begun = begin(one, "PATCH", "/containers/slow/gpu", {"gpuCount": 1})
    assert one.data("DELETE", begun)["state"] == "undone" and in_docker(nodes.docker_two)["slow-0"] == "running"
    one.data("DELETE", "/containers/slow", ERASE)

    deletion = begin(one, "DELETE", "/containers/foo", ERASE)
    wait_for(lambda: one.data("GET", deletion)["state"] == "done")
    assert "foo-2" not in in_docker(nodes.docker_two)
    # What is left in the other's Docker of an erased family is found and deleted from here as well.
    wait_for(lambda: {left["name"] for left in one.data("GET", "/containers")["leftovers"]} == {"foo-0", "foo-1"})
    for name in ("foo-0", "foo-1"):
        one.data("DELETE", f"/containers/{name}", ERASE)
    assert in_docker(nodes.docker_two) == {}


def test_a_volume_is_worked_with_through_the_other_node(nodes: Pair) -> None:
    one, two = nodes.one, nodes.two
    assert one.data("POST", "/volumes", {"name": "data", "size": "10MB", "node": "two"})["name"] == "data-0"
    assert listed(one, "volumes") == listed(two, "volumes") == {"data-0": ("two", "present")}
    # Without a node, a container goes where its volumes are.
    one.create("user", binds=[{"src": "data-0", "dest": "/data"}])
    assert in_docker(nodes.docker_two) == {"user-0": "running"}
    one.sh("user", "echo kept >/data/file")
    wait_for(lambda: one.data("GET", "/volumes")["volumes"][0]["mountedBy"] != [])

    key = {"Idempotency-Key": "resize-once"}
    first = one.call("PATCH", "/volumes/data-0/size", {"size": "20MB"}, headers=key)
    assert first.json()["data"] == {"name": "data-1", "size": "20MB"}
    for server in (one, two):
        again = server.call("PATCH", "/volumes/data-0/size", {"size": "20MB"}, headers=key)
        assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
    bind = {
        "type": "volume",
        "oldBind": {"src": "data-0", "dest": "/data"},
        "newBind": {"src": "data-1", "dest": "/data"},
    }
    assert one.data("PATCH", "/containers/user/volume", bind)["name"] == "user-1"
    assert one.sh("user", "cat /data/file") == "kept\n"

    one.data("POST", "/volumes", {"name": "near", "size": "10MB"})
    binds = [{"src": "near-0", "dest": "/near"}, {"src": "data-1", "dest": "/data"}]
    apart = one.call("POST", "/containers", {"imageName": "busybox:test", "containerName": "apart", "binds": binds})
    assert apart.status_code == 409 and apart.json()["code"] == 2103
    for name in ("user-1", "user-0"):
        one.data("DELETE", f"/containers/{name}", ERASE)
    for name in ("data-1", "data-0", "near-0"):
        one.data("DELETE", f"/volumes/{name}", ERASE)
    assert listed(two, "volumes") == {}


def test_a_container_goes_where_it_fits_best(nodes: Pair) -> None:
    one, two = nodes.one, nodes.two
    two.create("ballast", node="two", gpuCount=2)
    assert one.create("tight", gpuCount=2)["name"] == "tight-0"
    assert one.create("large", gpuCount=3)["name"] == "large-0"
    assert one.create("none")["name"] == "none-0"
    plan = one.data(
        "POST", "/containers?dryRun=true", {"imageName": "busybox:test", "containerName": "a", "gpuCount": 1}
    )
    assert len(plan["gpus"]) == 1
    found = {name: node for name, (node, _) in listed(one, "containers").items()}
    assert found == {"ballast-0": "two", "tight-0": "two", "large-0": "one", "none-0": "one"}
    for server in (one, two):
        full = server.call("POST", "/containers", {"imageName": "busybox:test", "containerName": "b", "gpuCount": 2})
        assert full.status_code == 409 and full.json()["code"] == 1019
        assert full.json()["data"] == {"requested": 2, "free": 1, "total": GPUS}
    unknown = one.call("POST", "/volumes", {"name": "v", "size": "10MB", "node": "three"})
    assert unknown.status_code == 404 and unknown.json()["code"] == 2100
    uuid = next(u for u, used in one.data("GET", "/gpus?node=two")["gpuStatus"].items() if used)
    drained = one.data("PATCH", f"/gpus/{uuid}", {"schedulable": False})
    assert (drained["node"], drained["schedulable"]) == ("two", False)
    one.data("PATCH", f"/gpus/{uuid}", {"schedulable": True})
    for name in found:
        one.data("DELETE", f"/containers/{name}", ERASE)


def log_in(server: Server) -> requests.Session:
    browser = requests.Session()
    login = browser.get(f"{server.url}/login", timeout=20)
    browser.post(f"{server.url}/login", data={"token": TOKEN, "csrf_token": secret(login)}, timeout=20)
    return browser


def secret(page: requests.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[1]


def test_the_pages_of_one_node_show_and_change_what_is_on_the_other(nodes: Pair) -> None:
    one = nodes.one
    one.create("paged", node="two", cmd=["sh", "-c", "echo this is on two; exec sleep 1000000"])
    browser = log_in(one)
    page = browser.get(f"{one.url}/containers/paged-0", timeout=20)
    assert page.status_code == 200 and "this is on two" in page.text
    asked = browser.get(f"{one.url}/containers/paged-0/stop", timeout=20)
    form: dict[str, Any] = {"csrf_token": secret(asked if asked.ok else page), "next": "/containers"}
    done = browser.post(f"{one.url}/containers/paged-0/stop", data=form, timeout=20)
    assert done.status_code == 200 and "paged-0" in done.text, done.text
    assert in_docker(nodes.docker_two) == {"paged-0": "exited"}
    assert listed(one, "containers") == {"paged-0": ("two", "stopped")}
    one.data("DELETE", "/containers/paged", ERASE)
    browser.close()


def test_each_node_has_images_of_its_own(nodes: Pair, registry: Registry) -> None:
    one, two, name = nodes.one, nodes.two, f"{registry.address}/of-one:1"
    nodes.docker_one.docker("tag", IMAGE, name)
    nodes.docker_one.docker("push", "-q", name)
    assert two.data("GET", f"/images/{name}?node=one")["node"] == "one"
    assert two.call("GET", f"/images/{name}").json()["code"] == 2012
    asked = one.call("POST", "/images/pull?node=two", {"image": name})
    assert asked.status_code == 200 and asked.json()["data"]["name"] == name, asked.text
    assert two.data("GET", f"/images/{name}")["node"] == "two"
    pulled = two.data("GET", "/operations?kind=pull&limit=1")["operations"][0]
    assert (pulled["node"], pulled["target"], pulled["by"], pulled["who"]) == ("two", name, "api", None)
    assert pulled["requestId"] == asked.headers["X-Request-Id"]
    assert one.call("GET", "/images?node=three").status_code == 404
    for node in ("one", "two"):
        one.data("DELETE", f"/images/{name}?node={node}")
        assert one.call("GET", f"/images/{name}?node={node}").status_code == 404


def test_of_a_dead_node_nothing_is_given_away_and_all_is_shown(nodes: Pair) -> None:
    one, two = nodes.one, nodes.two
    one.create("far", node="two", gpuCount=1)
    one.data("POST", "/volumes", {"name": "farv", "size": "10MB", "node": "two"})
    one.create("near", node="one", gpuCount=1)
    slow = 'trap "sleep 30" TERM; echo ready; while :; do sleep 0.1; done'
    one.create("slow", node="two", gpuCount=1, cmd=["sh", "-c", slow])
    wait_for(lambda: "ready" in one.data("GET", "/containers/slow/logs")["logs"])
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(one.call, "PATCH", "/containers/slow/gpu", {"gpuCount": 2})
        wait_for(lambda: "stopping" in {o["step"] for o in one.data("GET", "/operations?state=running")["operations"]})
        two.kill()
    assert (changing.result().status_code, changing.result().json()["code"]) == (503, 2102)
    wait_for(lambda: nodes.alive() == {"one"})
    expected = {"far-0": ("two", "unreachable"), "near-0": ("one", "running"), "slow-0": ("two", "unreachable")}
    assert listed(one, "containers") == expected
    assert listed(one, "volumes") == {"farv-0": ("two", "unreachable")}
    (drift,) = one.data("GET", "/containers/far")["drift"]
    assert drift["kind"] == "unreachable" and "two" in drift["reason"]
    assert gpus(one, "two") == [1] * GPUS and gpus(one, "one") == [0, 0, 0, 1]
    browser = log_in(one)
    page = browser.get(f"{one.url}/containers/far-0", timeout=20)
    assert page.status_code == 200 and "node two is unreachable" in page.text
    browser.close()
    for method, path, body in (
        ("PATCH", "/containers/far/gpu", {"gpuCount": 2}),
        ("PATCH", "/containers/far-0/stop", None),
        ("POST", "/containers/far-0/execute", {"cmd": ["true"]}),
        ("GET", "/containers/far-0/logs", None),
        ("PATCH", "/volumes/farv-0/size", {"size": "20MB"}),
        ("POST", "/volumes", {"name": "w", "size": "10MB", "node": "two"}),
        (
            "POST",
            "/containers",
            {"imageName": "busybox:test", "containerName": "a", "binds": [{"src": "farv-0", "dest": "/d"}]},
        ),
    ):
        answer = one.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (503, 2101), answer.text
    full = one.call("POST", "/containers", {"imageName": "busybox:test", "containerName": "b", "gpuCount": 4})
    assert (full.status_code, full.json()["code"]) == (409, 1019)
    assert one.create("c", gpuCount=3)["name"] == "c-0" and in_docker(nodes.docker_one).keys() == {"near-0", "c-0"}
    assert in_docker(nodes.docker_two)["far-0"] == "running"

    nodes.start(two)
    wait_for(lambda: nodes.alive() == {"one", "two"})
    wait_for(lambda: listed(one, "containers")["far-0"] == ("two", "running"))
    # What it was doing when it died is undone.
    wait_for(lambda: in_docker(nodes.docker_two) == {"far-0": "running", "slow-0": "running"})
    wait_for(lambda: one.data("GET", "/operations?state=running")["operations"] == [])
    assert sum(gpus(one, "two")) == 2
    one.data("DELETE", "/containers/slow", ERASE)
    assert one.data("PATCH", "/containers/far/gpu", {"gpuCount": 2})["name"] == "far-1"
    assert in_docker(nodes.docker_two) == {"far-0": "exited", "far-1": "running"}
