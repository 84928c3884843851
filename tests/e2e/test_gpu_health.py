"""Drain and return of GPUs over HTTP, on a real Docker and a real etcd, through two workers."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.etcd import EtcdStore
from app.bootstrap import build_backends, build_services
from app.errors import GpuContended
from app.gpus import visibility
from app.gpus.health import GpuHealth
from app.ports import Put
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import PREFIX, Server
from tests.support.world import CONFIG


def schedulable(api: Server, uuid: str, wanted: object) -> Any:
    return api.call("PATCH", f"/gpus/{uuid}", {"schedulable": wanted})


def uuids(api: Server) -> list[str]:
    return list(api.data("GET", "/gpus")["gpuStatus"])


def holds(api: Server, name: str) -> set[str]:
    return set(api.data("GET", f"/containers/{name}")["gpus"])


def smi(api: Server, name: str, script: str) -> None:
    """Give a container an nvidia-smi that is this shell script."""
    api.sh(name, f"cat >/bin/nvidia-smi <<'END'\n#!/bin/sh\n{script}\nEND\nchmod +x /bin/nvidia-smi")


@pytest.fixture
def health(api: Server, dockerd: Dockerd, etcd_server: EtcdServer) -> GpuHealth:
    """What the reconcile process has."""
    config = replace(CONFIG, etcd=(etcd_server.endpoint,), prefix=PREFIX, docker_host=dockerd.url)
    return build_services(config, build_backends(config)).gpu.health


def test_a_drained_gpu_is_not_given_out_and_a_returned_one_is(api: Server) -> None:
    first, second, *others = uuids(api)
    for uuid in others:
        assert schedulable(api, uuid, False).json()["msg"] == "success"
    api.create("foo", gpuCount=1)
    api.create("bar", gpuCount=1)
    assert holds(api, "foo") | holds(api, "bar") == {first, second}
    answer = api.call("POST", "/containers", {"imageName": "busybox:test", "containerName": "baz", "gpuCount": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, 1019)
    assert answer.json()["data"] == {"requested": 1, "free": 0, "total": 8}
    assert api.in_use() == {first, second, *others}
    assert schedulable(api, others[3], True).json()["msg"] == "success"
    api.create("baz", gpuCount=1)
    assert holds(api, "baz") == {others[3]}


def test_the_answer_describes_the_gpu_as_the_other_calls_do(api: Server) -> None:
    uuid = uuids(api)[2]
    before = api.data("GET", f"/gpus/{uuid}")
    assert (before["schedulable"], before["healthy"], before["since"], before["advice"]) == (True, True, None, None)
    drained = schedulable(api, uuid, False).json()["data"]
    assert drained == api.data("GET", f"/gpus/{uuid}")
    assert drained == next(gpu for gpu in api.data("GET", "/gpus?detail=true")["gpus"] if gpu["uuid"] == uuid)
    assert drained["schedulable"] is False and drained["healthy"] is True and drained["status"] == 1
    assert drained["reason"] == "taken out of service by an operator"
    assert drained["advice"] and drained["since"] > "2026"
    again = schedulable(api, uuid, False)
    assert again.status_code == 200 and again.json() == {"code": 200, "msg": "unchanged", "data": drained}
    assert schedulable(api, uuid, True).json()["data"] == before
    assert schedulable(api, uuid, True).json()["msg"] == "unchanged"


def test_a_container_keeps_a_drained_gpu_until_it_is_changed(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=2)
    first, second = sorted(holds(api, "foo"))
    assert schedulable(api, first, False).json()["data"]["holder"]["name"] == "foo-0"
    assert holds(api, "foo") == {first, second}
    assert dockerd.docker("inspect", "--format", "{{.State.Running}}", "foo-0") == "true"
    api.data("PATCH", "/containers/foo/gpu", {"gpuCount": 3})
    assert second in holds(api, "foo") and first not in holds(api, "foo") and len(holds(api, "foo")) == 3
    assert api.data("GET", f"/gpus/{first}")["holder"] is None and first in api.in_use()


def test_a_fault_is_told_with_advice_and_cleared_by_a_return(api: Server, etcd_server: EtcdServer) -> None:
    uuid = uuids(api)[0]
    fault = {"schema": 1, "schedulable": True, "fault": "XID 79: it has fallen off the bus", "code": 79, "index": 0}
    record = {**fault, "since": "2026-01-02T03:04:05.678+00:00", "by": "gpudock"}
    EtcdStore([etcd_server.endpoint], PREFIX).transact({}, [Put(f"/health/test-node/{uuid}", record)])
    gpu = api.data("GET", f"/gpus/{uuid}")
    assert (gpu["healthy"], gpu["schedulable"], gpu["status"]) == (False, True, 1)
    assert gpu["reason"] == "XID 79: it has fallen off the bus" and "reset" in gpu["advice"]
    assert gpu["since"] == "2026-01-02T03:04:05.678+00:00"
    returned = schedulable(api, uuid, True).json()
    assert returned["msg"] == "success" and returned["data"]["healthy"] and returned["data"]["status"] == 0


@pytest.mark.parametrize("wanted", [None, "no", 2, [], {}])
def test_only_a_truth_value_is_taken(api: Server, wanted: object) -> None:
    answer = schedulable(api, uuids(api)[0], wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, 1002)
    assert api.in_use() == set()


def test_what_is_missing_unknown_or_cannot_be_rehearsed_is_refused(api: Server) -> None:
    uuid = uuids(api)[0]
    for path, body, status, code in (
        (f"/gpus/{uuid}", {}, 400, 1002),
        ("/gpus/GPU-nope", {"schedulable": False}, 404, 2013),
        (f"/gpus/{uuid}?dryRun=true", {"schedulable": False}, 400, 1002),
    ):
        answer = api.call("PATCH", path, body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.in_use() == set()


def test_many_at_once_agree(api: Server) -> None:
    uuid = uuids(api)[0]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: schedulable(api, uuid, bool(n % 2)), range(24)))
    assert {answer.json()["code"] for answer in answers} <= {200, GpuContended.code}
    last = schedulable(api, uuid, False).json()
    assert last["data"]["schedulable"] is False
    assert schedulable(api, uuid, True).json()["data"]["status"] == 0


def test_creates_at_once_take_only_what_is_in_service(api: Server) -> None:
    drained = set(uuids(api)[:5])
    for uuid in drained:
        schedulable(api, uuid, False)

    def create(n: int) -> int:
        body = {"imageName": "busybox:test", "containerName": f"c{n}", "gpuCount": 1}
        return int(api.call("POST", "/containers", body).json()["code"])

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(create, range(8)))
    assert codes == [200] * 3 + [1019] * 5
    taken = [uuid for made in api.data("GET", "/containers")["containers"] for uuid in made["gpus"]]
    assert len(taken) == len(set(taken)) == 3 and not drained & {*taken}


def test_a_container_that_lost_its_gpus_inside_is_found(api: Server, health: GpuHealth) -> None:
    api.create("foo", gpuCount=2)
    assert health.look_inside() == [] and health.faults_inside() == {}
    smi(api, "foo-0", "echo 'Failed to initialize NVML: Unknown Error'; exit 255")
    assert health.look_inside() == [
        "foo-0 has lost its GPUs: nvidia-smi in it says: Failed to initialize NVML: Unknown Error"
    ]
    assert health.look_inside() == [] and list(health.faults_inside()) == ["foo"]
    first, second = sorted(holds(api, "foo"))
    smi(api, "foo-0", f"echo 'GPU 0: H100 (UUID: {first})'; echo 'GPU 1: H100 (UUID: {second})'")
    assert health.look_inside() == ["foo-0, which had lost its GPUs, has its GPUs again"]
    smi(api, "foo-0", f"echo 'GPU 0: H100 (UUID: {first})'")
    assert health.look_inside() == [f"foo-0 has lost its GPUs: nvidia-smi in it does not show {second}"]
    smi(api, "foo-0", "exit 127")
    assert health.look_inside() == [] and list(health.faults_inside()) == ["foo"]
    api.data("PATCH", "/containers/foo/stop")
    assert health.look_inside() == ["foo-0, which had lost its GPUs, does not run any more"]
    assert health.faults_inside() == {}


def test_an_nvidia_smi_that_hangs_holds_nothing_up_and_is_killed(
    api: Server, health: GpuHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "TIMEOUT", 3.0)
    for name in ("foo", "bar", "baz"):
        api.create(name, gpuCount=1)
        smi(api, f"{name}-0", "exec sleep 4321")
    started = time.monotonic()
    assert health.look_inside() == [] and health.faults_inside() == {}
    assert time.monotonic() - started < 3 * 3.0, "one waits for the other"
    assert "4321" not in api.sh("foo-0", "ps -o args")
