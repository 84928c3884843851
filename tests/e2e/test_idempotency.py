"""Idempotency keys over two workers, a real Docker and a real etcd."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import Server

KEY = {"Idempotency-Key": "7e3f9c1a order 17"}
BODY: dict[str, Any] = {"imageName": "busybox:test", "containerName": "foo", "gpuCount": 1}
SLOW = 'trap "sleep 2; exit" TERM; echo ready; while :; do sleep 0.1; done'


def create(api: Server, **changes: Any) -> requests.Response:
    return api.call("POST", "/containers", {**BODY, **changes}, headers=KEY)


def replayed(answer: requests.Response) -> bool:
    return answer.headers.get("Idempotency-Replayed") == "true"


def containers(dockerd: Dockerd) -> list[str]:
    return sorted(dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines())


def test_a_create_with_one_key_is_done_once_and_answered_alike_by_every_worker(api: Server, dockerd: Dockerd) -> None:
    first = create(api)
    assert first.status_code == 200 and not replayed(first)
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda _: create(api), range(32)))
    assert all(replayed(answer) and answer.content == first.content for answer in again)
    assert {answer.status_code for answer in again} == {200}
    assert len({answer.headers["X-Request-Id"] for answer in (first, *again)}) == 33
    assert containers(dockerd) == ["foo-0 running"] and len(api.in_use()) == 1


def test_the_answer_outlives_the_workers(api: Server, dockerd: Dockerd) -> None:
    first = create(api)
    api.kill_workers()
    again = patiently(lambda: create(api))
    assert replayed(again) and again.content == first.content
    assert containers(dockerd) == ["foo-0 running"]


def test_of_creates_at_once_with_one_key_one_runs(api: Server, dockerd: Dockerd) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(api), range(8)))
    (winner,) = [answer for answer in answers if answer.ok and not replayed(answer)]
    for answer in answers:
        if answer.ok:
            assert answer.content == winner.content
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, 2071)
    assert containers(dockerd) == ["foo-0 running"] and len(api.in_use()) == 1
    assert replayed(create(api))


def test_the_same_key_with_another_request_is_422(api: Server, dockerd: Dockerd) -> None:
    create(api)
    for refused in (create(api, containerName="bar"), api.call("PATCH", "/containers/foo-0/stop", headers=KEY)):
        assert (refused.status_code, refused.json()["code"]) == (422, 2070)
    assert containers(dockerd) == ["foo-0 running"]


def test_a_repeated_gpu_change_makes_no_second_version(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    first, second = (api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 3}, headers=KEY) for _ in range(2))
    assert first.json()["data"]["name"] == "foo-1" and first.content == second.content and replayed(second)
    assert api.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3}).json()["code"] == 1034
    assert containers(dockerd) == ["foo-0 exited", "foo-1 running"] and len(api.in_use()) == 3


def test_a_change_in_the_background_is_begun_once(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    headers = {**KEY, "Prefer": "respond-async"}
    first, second = (api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 3}, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202 and replayed(second)
    assert first.content == second.content and first.headers["Location"] == second.headers["Location"]
    until(lambda: containers(dockerd) == ["foo-0 exited", "foo-1 running"] and len(api.in_use()) == 3)
    operation = first.headers["Location"].removeprefix("/api/v1")
    until(lambda: api.data("GET", operation)["ended"] is not None)
    assert replayed(api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 3}, headers=headers))
    assert containers(dockerd) == ["foo-0 exited", "foo-1 running"]


def test_a_large_answer_is_given_once_and_the_command_not_run_again(api: Server) -> None:
    api.create("foo")
    script = {"cmd": ["sh", "-c", "echo ran >>/runs; head -c 600000 /dev/zero | tr '\\0' x"]}
    first, second = (api.call("POST", "/containers/foo/execute", script, headers=KEY) for _ in range(2))
    assert first.status_code == 200 and len(first.json()["data"]["stdout"]) == 600_000
    assert (second.status_code, second.json()["code"], second.json()["data"]["status"]) == (409, 2072, 200)
    assert api.sh("foo", "cat /runs") == "ran\n"


@pytest.mark.parametrize("key", ["", "x" * 256, "é".encode("latin-1")])
def test_a_malformed_key_is_400(api: Server, dockerd: Dockerd, key: str | bytes) -> None:
    refused = api.call("POST", "/containers", BODY, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["code"]) == (400, 1002)
    assert containers(dockerd) == []


@pytest.fixture
def slow(api: Server) -> Server:
    """With the container kept-0, whose stop takes two seconds: the middle of a change."""
    api.create("kept", gpuCount=2, cmd=["sh", "-c", SLOW])
    until(lambda: "ready" in api.data("GET", "/containers/kept/logs")["logs"])
    return api


def test_a_retry_after_the_workers_were_killed_in_the_middle_works(slow: Server, dockerd: Dockerd) -> None:
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(change, slow)
        until(lambda: len(containers(dockerd)) == 2)
        slow.kill_workers()
        with pytest.raises(requests.ConnectionError):
            cut.result()
    check_retry(slow, dockerd)


def test_a_retry_after_etcd_died_in_the_middle_works(slow: Server, dockerd: Dockerd, etcd_server: EtcdServer) -> None:
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(change, slow)
        until(lambda: len(containers(dockerd)) == 2)
        etcd_server.kill()
        try:
            assert cut.result().status_code == 503
            refused = change(slow)  # before anything is done: the key cannot be looked up
            assert (refused.status_code, refused.json()["data"]) == (503, {"part": "etcd"})
        finally:
            etcd_server.start()
    check_retry(slow, dockerd)


def change(api: Server) -> requests.Response:
    return api.call("PATCH", "/containers/kept-0/gpu", {"gpuCount": 4}, headers=KEY)


def check_retry(api: Server, dockerd: Dockerd) -> None:
    """The change with the same key runs once the broken one is undone, and is answered from the store from then on."""
    done = patiently(lambda: change(api))
    assert done.json()["data"]["name"] == "kept-1" and not replayed(done)
    again = change(api)
    assert replayed(again) and again.content == done.content
    assert containers(dockerd) == ["kept-0 exited", "kept-1 running"] and len(api.in_use()) == 4


def patiently(call: Callable[[], requests.Response]) -> requests.Response:
    """The first success, within 15 s, of a call that workers or parts which come back may still refuse."""
    deadline = time.monotonic() + 15
    while True:
        try:
            answer = call()
        except requests.ConnectionError:  # no worker listens yet
            answer = None
        if answer is not None and answer.ok:
            return answer
        refused = answer is None or answer.status_code == 503 or answer.json()["code"] in (2021, 2071)
        assert refused and time.monotonic() < deadline, answer and answer.text
        time.sleep(0.1)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
