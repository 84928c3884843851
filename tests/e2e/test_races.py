"""Many callers at once, through two workers: exactly the right winners, and a clear answer for everybody."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.support.dockerd import Dockerd
from tests.support.server import Server


def at_once(calls: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def codes(answers: list[requests.Response]) -> Counter[int]:
    return Counter(answer.json()["code"] for answer in answers)


def held(dockerd: Dockerd) -> list[str]:
    """The UUIDs that running containers have, one entry a container and GPU."""
    running = dockerd.docker("ps", "-q").split()
    seen = json.loads(dockerd.docker("inspect", *running)) if running else []
    requested = [request for container in seen for request in container["HostConfig"]["DeviceRequests"] or ()]
    return [uuid for request in requested for uuid in request["DeviceIDs"]]


def check_gpus(api: Server, dockerd: Dockerd) -> None:
    """The GPUs marked in use are those that running containers hold, each held once."""
    assert Counter(held(dockerd)) == Counter(api.in_use())


def test_sixteen_creates_of_one_name_have_one_winner(api: Server, dockerd: Dockerd) -> None:
    body: dict[str, Any] = {"imageName": "busybox:test", "containerName": "one", "gpuCount": 1}
    answers = at_once([lambda: api.call("POST", "/containers", body)] * 16)
    assert codes(answers) == {200: 1, 1014: 15}
    assert dockerd.docker("ps", "-a", "--format", "{{.Names}}") == "one-0"
    check_gpus(api, dockerd)


def test_sixteen_creates_on_eight_gpus_have_eight_winners(api: Server, dockerd: Dockerd) -> None:
    def create(n: int) -> Callable[[], requests.Response]:
        body = {"imageName": "busybox:test", "containerName": f"c{n}", "gpuCount": 1}
        return lambda: api.call("POST", "/containers", body)

    answers = at_once([create(n) for n in range(16)])
    assert codes(answers) == {200: 8, 1019: 8}
    assert len(dockerd.docker("ps", "-aq").split()) == 8 and len(api.in_use()) == 8
    check_gpus(api, dockerd)


def test_opposite_changes_of_one_version_have_one_winner(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=4)

    def change(count: int) -> Callable[[], requests.Response]:
        return lambda: api.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": count})

    answers = at_once([change(count) for count in (2, 6) * 6])
    counted = codes(answers)
    assert counted[200] == 1 and counted[1034] + counted[2021] == 11
    (winner,) = [answer for answer in answers if answer.ok]
    asked = (2, 6)[answers.index(winner) % 2]
    assert winner.json()["data"]["name"] == "foo-1" and len(api.in_use()) == asked
    assert sorted(dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()) == [
        "foo-0 exited",
        "foo-1 running",
    ]
    check_gpus(api, dockerd)


def test_stop_restart_delete_and_change_at_once_leave_a_whole_state(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=2)
    calls: list[Callable[[], requests.Response]] = [
        lambda: api.call("PATCH", "/containers/foo/stop"),
        lambda: api.call("PATCH", "/containers/foo/restart"),
        lambda: api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 5}),
        lambda: api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 1}),
    ] * 3
    answers = at_once(calls)
    assert {answer.status_code for answer in answers} <= {200, 409} and any(answer.ok for answer in answers)
    check_gpus(api, dockerd)
    families = api.data("GET", "/containers")["containers"]
    assert next(family["state"] for family in families) in ("running", "stopped")
    api.data("DELETE", "/containers/foo", {"force": True, "delEtcdInfoAndVersionRecord": True})
    assert api.in_use() == set()


def test_ports_are_given_out_once(api: Server) -> None:
    def create(n: int) -> Callable[[], requests.Response]:
        body = {
            "imageName": "busybox:test",
            "containerName": f"p{n}",
            "ports": [{"hostPort": 23456, "containerPort": 1}],
        }
        return lambda: api.call("POST", "/containers", body)

    assert codes(at_once([create(n) for n in range(8)])) == {200: 1, 2022: 7}
