"""The reconcile process beside the server, on a real Docker and a real etcd."""

import threading
from collections.abc import Iterator

import pytest
import requests

from app.adapters.etcd import EtcdStore
from tests.e2e.test_volumes import ERASE, wait_for
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import PREFIX, Server

PATIENT = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def site(api: Server) -> Iterator[Server]:
    """The server with a reconcile process."""
    api.start_reconcile()
    yield api
    api.kill_reconcile()


def states(dockerd: Dockerd) -> dict[str, str]:
    lines = dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    return dict(line.split() for line in lines)


def test_what_is_killed_by_hand_runs_again(site: Server, dockerd: Dockerd) -> None:
    site.create("foo", gpuCount=2)
    held = site.in_use()
    for command in ("kill", "stop"):
        dockerd.docker(command, *(["-t", "0"] if command == "stop" else []), "foo-0")
        wait_for(lambda: states(dockerd) == {"foo-0": "running"})
    assert site.in_use() == held

    def newest() -> tuple[str, str]:
        found = site.data("GET", "/operations?name=foo")["operations"][0]
        return found["kind"], found["state"]

    wait_for(lambda: newest() == ("resume", "done"))


def test_a_program_that_ends_is_not_started_again(site: Server, dockerd: Dockerd) -> None:
    site.create("job", gpuCount=1, cmd=["sh", "-c", "sleep 0.5; exit 0"])
    site.create("other")
    wait_for(lambda: states(dockerd)["job-0"] == "exited")
    dockerd.docker("kill", "other-0")
    wait_for(lambda: states(dockerd)["other-0"] == "running")
    assert states(dockerd)["job-0"] == "exited"
    assert site.data("GET", "/containers/job")["state"] == "exited"


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_after_docker_went_down_everything_runs_again(site: Server, dockerd: Dockerd, how: str) -> None:
    site.create("foo", gpuCount=2, cmd=PATIENT)
    site.create("stopped")
    site.data("PATCH", "/containers/stopped/stop")
    wait_for(lambda: site.command("reconcile", "--dry-run") == "nothing to do\n")
    held = site.in_use()
    if how == "kill":
        dockerd.kill()
        dockerd.start()
    else:
        dockerd.restart()
    wait_for(lambda: states(dockerd) == {"foo-0": "running", "stopped-0": "exited"}, 30)
    assert site.in_use() == held


def test_a_dry_run_says_what_and_why_and_does_nothing(api: Server, dockerd: Dockerd) -> None:
    api.create("foo")
    dockerd.docker("kill", "foo-0")
    told = api.command("reconcile", "--dry-run")
    assert told == "start foo-0: it should run, and it was ended by hand (exit code 137)\n"
    assert states(dockerd) == {"foo-0": "exited"}
    assert api.command("reconcile", "--once") == told and states(dockerd) == {"foo-0": "running"}


def test_the_operation_of_a_killed_worker_is_settled_soon(site: Server, dockerd: Dockerd) -> None:
    slow = 'trap "sleep 2; exit" TERM; echo ready; while :; do sleep 0.1; done'
    site.create("kept", gpuCount=2, cmd=["sh", "-c", slow])
    wait_for(lambda: "ready" in site.data("GET", "/containers/kept/logs")["logs"])
    killer = threading.Timer(1, site.kill_workers)
    killer.start()
    with pytest.raises(requests.ConnectionError):
        site.call("PATCH", "/containers/kept-0/gpu", {"gpuCount": 4})
    killer.join()
    wait_for(lambda: states(dockerd) == {"kept-0": "running"} and len(site.in_use()) == 2, 60)


def test_an_old_version_started_by_hand_gives_its_gpus_back(site: Server, dockerd: Dockerd) -> None:
    site.create("foo", gpuCount=2)
    site.data("PATCH", "/containers/foo/gpu", {"gpuCount": 3})
    dockerd.docker("start", "foo-0")
    wait_for(lambda: states(dockerd) == {"foo-0": "exited", "foo-1": "running"})


def test_of_two_processes_one_reconciles_and_the_other_takes_over(site: Server, dockerd: Dockerd) -> None:
    site.create("foo")
    dockerd.docker("kill", "foo-0")
    wait_for(lambda: states(dockerd) == {"foo-0": "running"})
    first, site._reconcile = site._reconcile, None
    assert first is not None
    site.start_reconcile()
    first.kill()
    first.wait()
    dockerd.docker("kill", "foo-0")
    wait_for(lambda: states(dockerd) == {"foo-0": "running"})


def test_what_is_not_ours_is_left_alone(site: Server, dockerd: Dockerd) -> None:
    dockerd.docker("create", "--name", "theirs", "busybox:test")
    site.create("foo", gpuCount=1)
    site.data("PATCH", "/containers/foo/gpu", {"gpuCount": 2})
    site.data("DELETE", "/containers/foo-1", ERASE)
    site.create("bar")
    dockerd.docker("kill", "bar-0")
    wait_for(lambda: states(dockerd).get("bar-0") == "running")
    assert states(dockerd) == {"theirs": "created", "foo-0": "exited", "bar-0": "running"}


def test_an_idle_node_is_looked_at_every_few_seconds_only(site: Server, etcd_server: EtcdServer) -> None:
    store = EtcdStore([etcd_server.endpoint], PREFIX)

    def noted() -> float:
        entry = store.get("/nodes/test-node")
        return float(entry.value["seen"]) if entry else 0.0

    def gap() -> float:
        first = noted()
        return wait_for(lambda: (now := noted()) != first and now) - first

    # At its start it makes changes itself, which wake it.
    wait_for(lambda: 2 < gap() < 8)
    store.close()
