"""Docker, etcd or NVML down: a 503 that names the part within 5 s, and all well within 3 s after it is back."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.nvml import FakeNvml
from tests.support.server import Server
from tests.support.volumes import wait_for

BODY: dict[str, Any] = {"imageName": "busybox:test", "containerName": "late", "gpuCount": 1}


# Seconds; on a quiet machine less than 5. What does not know a part that hangs waits for a minute.
SOON = 20


def create_slow(api: Server) -> None:
    """The container kept with two GPUs, whose stop takes two seconds."""
    slow = 'trap "sleep 2; exit" TERM; echo ready; while :; do sleep 0.1; done'
    api.create("kept", gpuCount=2, cmd=["sh", "-c", slow])
    wait_for(lambda: "ready" in api.data("GET", "/containers/kept/logs")["logs"])


def refused(api: Server, part: str, *calls: tuple[str, str, Any]) -> None:
    """Each call answers 503, soon, and names the part; all are made at once."""

    def refuse(method: str, path: str, body: Any) -> None:
        begun = time.monotonic()
        answer = api.call(method, path, body)
        assert answer.status_code == 503, f"{method} {path}: {answer.text}"
        assert (answer.json()["code"], answer.json()["data"]) == (2040, {"part": part})
        assert time.monotonic() - begun < SOON, f"{method} {path} took {time.monotonic() - begun:.1f} s"

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(refuse, *zip(*calls, strict=True)))


def recovered(api: Server) -> None:
    """Soon the calls work again, and nothing is half done."""
    deadline = time.monotonic() + SOON
    # Each worker finds out for itself, and nobody can choose which one answers.
    while not all(api.call("GET", path).ok for path in ("/readyz", "/gpus") * 4):
        assert time.monotonic() < deadline, "it did not recover in time"
        time.sleep(0.1)
    while (answer := api.call("POST", "/containers", BODY)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    assert answer.json()["data"]["name"] == "late-0"
    kept, late = api.data("GET", "/containers/kept"), api.data("GET", "/containers/late")
    assert kept["state"] == late["state"] == "running"
    assert {*kept["gpus"], *late["gpus"]} == api.in_use() and len(api.in_use()) == 3


CHANGES = (
    ("POST", "/containers", BODY),
    ("PATCH", "/containers/kept-0/gpu", {"gpuCount": 4}),
    ("PATCH", "/containers/kept-0/stop", None),
    ("DELETE", "/containers/kept-0", {"force": True}),
)


@pytest.mark.parametrize(("out", "back"), [("kill", "start"), ("freeze", "thaw")])
def test_docker_away(api: Server, dockerd: Dockerd, out: str, back: str) -> None:
    api.create("kept", gpuCount=2)
    getattr(dockerd, out)()
    try:
        refused(api, "docker", ("GET", "/readyz", None), ("GET", "/containers", None), *CHANGES)
        assert len(api.in_use()) == 2
    finally:
        getattr(dockerd, back)()
    if back == "start":  # a killed dockerd without live-restore takes its containers down
        restore(api)
    recovered(api)


def restore(api: Server) -> None:
    if api.data("GET", "/containers/kept")["state"] != "running":
        api.data("PATCH", "/containers/kept/restart")


@pytest.mark.parametrize(("out", "back"), [("kill", "start"), ("freeze", "thaw")])
def test_etcd_away(api: Server, etcd_server: EtcdServer, out: str, back: str) -> None:
    api.create("kept", gpuCount=2)
    getattr(etcd_server, out)()
    try:
        refused(api, "etcd", ("GET", "/readyz", None), ("GET", "/gpus", None), ("GET", "/containers", None), *CHANGES)
    finally:
        getattr(etcd_server, back)()
    recovered(api)


@pytest.mark.parametrize("count", [1, 4])
def test_etcd_dying_in_the_middle_of_a_change(
    api: Server, etcd_server: EtcdServer, dockerd: Dockerd, count: int
) -> None:
    """The stop of a container that takes its time is the middle."""
    create_slow(api)
    killer = threading.Timer(1, etcd_server.kill)
    killer.start()
    try:
        answer = api.call("PATCH", "/containers/kept-0/gpu", {"gpuCount": count})
    finally:
        killer.join()
        etcd_server.start()
    assert answer.status_code == 503 and answer.json()["data"] == {"part": "etcd"}
    deadline = time.monotonic() + 30
    while api.call("PATCH", "/containers/kept-0/gpu", {"gpuCount": 2}).status_code != 200:
        assert time.monotonic() < deadline, "the operation is still in the way"
        time.sleep(0.1)
    assert dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}") == "kept-0 running"
    assert len(api.in_use()) == 2


def test_workers_killed_in_the_middle_of_a_change_are_undone_by_their_successors(api: Server, dockerd: Dockerd) -> None:
    create_slow(api)
    killer = threading.Timer(1, api.kill_workers)
    killer.start()
    with pytest.raises(requests.ConnectionError):
        api.call("PATCH", "/containers/kept-0/gpu", {"gpuCount": 4})
    killer.join()
    deadline = time.monotonic() + 60
    while dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}") != "kept-0 running":
        assert time.monotonic() < deadline, "nobody took the operation over"
        time.sleep(0.1)
    while len(api.in_use()) != 2:
        assert time.monotonic() < deadline, "GPUs are still claimed"
        time.sleep(0.1)


@pytest.fixture
def nvml_api(
    dockerd: Dockerd, image: str, etcd_server: EtcdServer, nvml_library: FakeNvml, api: Server
) -> Iterator[Server]:
    """A server whose GPUs come from NVML; what it makes is removed with the shared server's."""
    server = Server(
        dockerd,
        etcd_server,
        {
            "GPUDOCK_GPUS": "nvml",
            **nvml_library.environ,
        },
    )
    server.start()
    yield server
    server.stop()
    nvml_library.reset()


def test_nvml_away(nvml_api: Server, nvml_library: FakeNvml) -> None:
    nvml_api.create("kept", gpuCount=2)
    nvml_library.gone(True)
    time.sleep(1.1)  # the status may be a second old
    refused(
        nvml_api,
        "nvml",
        ("GET", "/readyz", None),
        ("GET", "/gpus", None),
        ("POST", "/containers", BODY),
        ("PATCH", "/containers/kept-0/gpu", {"gpuCount": 4}),
    )
    assert nvml_api.create("without")["name"] == "without-0"  # needs no GPU
    nvml_library.gone(False)
    recovered(nvml_api)


def test_a_lost_gpu_is_not_given_out_and_a_foreign_process_keeps_its_own(
    nvml_api: Server, nvml_library: FakeNvml
) -> None:
    # A process can name a lost GPU only if it saw it alive, so both workers are made to look first.
    with ThreadPoolExecutor(32) as pool:
        seen = list(pool.map(lambda _: nvml_api.data("GET", "/gpus?detail=true"), range(64)))
    total = len(seen[0]["gpuStatus"])
    nvml_library.lose(0)
    nvml_library.process(1, os.getpid(), 2048)
    detail = nvml_api.data("GET", "/gpus?detail=true")["gpus"]
    assert not detail[0]["healthy"] and detail[0]["reason"] and detail[0]["status"] == 1
    assert str(os.getpid()) in detail[1]["reason"] and detail[1]["status"] == 1
    answer = nvml_api.call("POST", "/containers", {**BODY, "gpuCount": total - 1})
    assert (answer.status_code, answer.json()["code"]) == (409, 1019)
    nvml_api.create("rest", gpuCount=total - 2)
    (rest,) = nvml_api.data("GET", "/containers")["containers"]
    assert not {detail[0]["uuid"], detail[1]["uuid"]} & set(rest["gpus"])
