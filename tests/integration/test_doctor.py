"""`flask doctor` on real parts: healthy, broken and missing ones."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import HOOKS, Dockerd
from tests.support.etcd import EtcdServer
from tests.support.nvml import FakeNvml

Doctor = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def doctor(dockerd: Dockerd, etcd_server: EtcdServer) -> Doctor:
    """Runs `flask doctor --json` on the tests' Docker and etcd; the exit code, and the findings by part."""

    def run(**settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GPUDOCK_")}
        env = kept | {
            "DOCKER_HOST": dockerd.url,
            "GPUDOCK_ETCD": "{}:{}".format(*etcd_server.endpoint),
            "GPUDOCK_GPUS": "simulated:8",
            "GPUDOCK_BIND_ROOTS": "/tmp",
            **settings,
        }
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor", "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
        report = json.loads(done.stdout)
        assert report["ok"] is (done.returncode == 0), done.stderr
        return done.returncode, {finding["part"]: finding for finding in report["findings"]}

    return run


def test_a_healthy_host_passes(doctor: Doctor) -> None:
    code, parts = doctor()

    assert code == 0
    healthy = ("settings", "docker", "storage", "volumes", "gpu request", "etcd", "gpus", "copying", "bind roots")
    assert {part: parts[part]["status"] for part in healthy} == dict.fromkeys(healthy, "ok")
    assert "overlay2" in parts["storage"]["found"]
    assert "8 simulated" in parts["gpus"]["found"]
    assert parts["nodes"]["status"] == "warning" and "reconcile" in parts["nodes"]["advice"]  # none runs here


def test_docker_that_is_down_fails_and_the_rest_is_still_examined(doctor: Doctor) -> None:
    code, parts = doctor(DOCKER_HOST="unix:///nowhere/docker.sock")

    assert code == 1
    assert parts["docker"]["status"] == "FAIL"
    assert "DOCKER_HOST" in parts["docker"]["advice"]
    assert parts["etcd"]["status"] == "ok"


def test_etcd_that_is_down_fails_and_one_member_down_is_a_warning(doctor: Doctor, etcd_server: EtcdServer) -> None:
    code, parts = doctor(GPUDOCK_ETCD="127.0.0.1:1")
    assert (code, parts["etcd"]["status"]) == (1, "FAIL")

    code, parts = doctor(GPUDOCK_ETCD="127.0.0.1:1,{}:{}".format(*etcd_server.endpoint))
    assert (code, parts["etcd"]["status"]) == (0, "warning")


def test_an_etcd_without_space_fails(doctor: Doctor) -> None:
    server = EtcdServer("--quota-backend-bytes", "65536")
    server.start()
    try:
        endpoint = "{}:{}".format(*server.endpoint)
        command = ["etcdctl", "--endpoints", endpoint, "put", "filler", "x" * 60_000]
        full = [subprocess.run(command, env={**os.environ, "ETCDCTL_API": "3"}, check=False) for _ in range(3)]
        assert full[-1].returncode != 0, "the server was meant to be full by now"

        code, parts = doctor(GPUDOCK_ETCD=endpoint)
    finally:
        server.stop()

    assert (code, parts["etcd"]["status"]) == (1, "FAIL")
    assert "alarm" in parts["etcd"]["found"]


def test_unhealthy_and_lost_gpus_are_a_warning_and_a_silent_driver_fails(
    doctor: Doctor, nvml_library: FakeNvml
) -> None:
    settings = {**nvml_library.environ, "GPUDOCK_GPUS": "nvml", "GPUDOCK_GPU_REQUEST": "none"}
    nvml_library.reset()
    assert doctor(**settings)[1]["gpus"]["status"] == "ok"

    nvml_library.lose(1)
    nvml_library.mig(2)
    code, parts = doctor(**settings)
    assert (code, parts["gpus"]["status"]) == (0, "warning")
    assert "1 lost" in parts["gpus"]["found"]
    assert nvml_library.uuid(2) in parts["gpus"]["found"]

    nvml_library.gone(True)
    code, parts = doctor(**settings)
    nvml_library.reset()
    assert (code, parts["gpus"]["status"]) == (1, "FAIL")


def test_docker_must_be_able_to_hand_out_gpus(doctor: Doctor) -> None:
    code, parts = doctor(GPUDOCK_GPU_REQUEST="nvidia")
    assert (code, parts["gpu request"]["status"]) == (1, "FAIL")
    assert "nvidia-container-toolkit" in parts["gpu request"]["advice"]

    code, parts = doctor(GPUDOCK_GPU_REQUEST="nvidia", PATH=f"{HOOKS}:{os.environ['PATH']}")
    assert (code, parts["gpu request"]["status"]) == (0, "ok")


def test_without_gnu_cp_nothing_can_be_carried_over(doctor: Doctor, tmp_path: Path) -> None:
    cp = tmp_path / "cp"
    shutil.copy(shutil.which("busybox") or "", tmp_path / "busybox")
    cp.symlink_to("busybox")

    code, parts = doctor(PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert (code, parts["copying"]["status"]) == (1, "FAIL")


def test_missing_bind_roots_are_a_warning(doctor: Doctor) -> None:
    code, parts = doctor(GPUDOCK_BIND_ROOTS="/nowhere/a:/nowhere/b")

    assert (code, parts["bind roots"]["status"]) == (0, "warning")


def test_a_bad_setting_is_named_before_anything_is_examined() -> None:
    env = {**os.environ, "GPUDOCK_GPUS": "many"}
    command = [sys.executable, "-c", "from app.cli import doctor; doctor()"]

    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stdout.startswith("FAIL")
    assert "GPUDOCK_GPUS" in done.stdout


def test_the_way_of_volumes_is_tried_and_told(doctor: Doctor, dockerd: Dockerd, tmp_path: Path) -> None:
    code, parts = doctor()
    assert (code, parts["volumes"]["status"]) == (0, "ok")
    assert "enforced by" in parts["volumes"]["found"]

    code, parts = doctor(GPUDOCK_VOLUMES="none")
    assert (code, parts["volumes"]["status"]) == (0, "warning")
    assert "not enforced" in parts["volumes"]["found"]

    (tmp_path / "mkfs.ext4").symlink_to("/bin/false")
    code, parts = doctor(GPUDOCK_VOLUMES="loop", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (code, parts["volumes"]["status"]) == (1, "FAIL")
    assert "loop devices" in parts["volumes"]["advice"]
    assert dockerd.docker("volume", "ls", "-q") + dockerd.docker("ps", "-aq") == ""
