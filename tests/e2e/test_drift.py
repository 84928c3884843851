"""Somebody uses docker by hand: it is seen and said what to do; and what he made can be taken in."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.server import Server


@pytest.fixture(autouse=True)
def no_volumes_left(api: Server, dockerd: Dockerd) -> Iterator[None]:
    yield
    for volume in api.data("GET", "/volumes")["volumes"]:
        api.call("DELETE", f"/volumes/{volume['name']}", {"force": True, "delEtcdInfoAndVersionRecord": True})
    dockerd.remove_containers()
    if left := dockerd.docker("volume", "ls", "-q").split():
        dockerd.docker("volume", "rm", *left)


def kinds(api: Server, family: str = "foo") -> list[str]:
    """What is not as it was left, by the list and by the container itself alike."""
    (listed,) = api.data("GET", f"/containers?name={family}")["containers"]
    shown = api.data("GET", f"/containers/{family}")["drift"]
    assert [drift["kind"] for drift in listed["drift"]] == [drift["kind"] for drift in shown]
    assert all(drift["reason"] and drift["advice"] for drift in shown)
    return [drift["kind"] for drift in shown]


def inspect(dockerd: Dockerd, name: str) -> Any:
    return json.loads(dockerd.docker("inspect", name))[0]


@pytest.mark.parametrize(
    ("act", "state", "kind"),
    [
        (["rm", "-f", "foo-0"], "missing", "missing"),
        (["rename", "foo-0", "mine"], "running", "renamed"),
        (["pause", "foo-0"], "paused", "paused"),
        (["kill", "foo-0"], "exited", "exited"),
        (["stop", "-t", "0", "foo-0"], "exited", "exited"),
    ],
)
def test_what_is_done_by_hand_is_seen(api: Server, dockerd: Dockerd, act: list[str], state: str, kind: str) -> None:
    api.create("foo", gpuCount=1)
    assert kinds(api) == []
    dockerd.docker(*act)
    assert kinds(api) == [kind]
    shown = api.data("GET", "/containers/foo")
    assert shown["state"] == state and shown["versions"][0]["drift"] == shown["drift"]
    if kind == "exited":
        assert "exit code 137 (signal 9)" in shown["drift"][0]["reason"]
        (listed,) = api.data("GET", "/containers")["containers"]
        assert 'Docker says "Exited (137)' in listed["drift"][0]["reason"]


def test_the_advice_that_is_given_helps(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    dockerd.docker("rename", "foo-0", "mine")
    dockerd.docker("pause", "mine")
    assert kinds(api) == ["paused", "renamed"]
    for drift in api.data("GET", "/containers/foo")["drift"]:
        for command in (part for part in drift["advice"].split(": ") if part.startswith("docker ")):
            dockerd.docker(*command.split()[1:])
    assert kinds(api) == []
    dockerd.docker("kill", "foo-0")
    api.data("PATCH", "/containers/foo-0/restart")
    assert kinds(api) == []


def test_what_runs_and_should_not_is_seen(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    api.data("PATCH", "/containers/foo-0/stop")
    assert kinds(api) == []
    dockerd.docker("start", "foo-0")
    assert kinds(api) == ["started"]
    api.data("PATCH", "/containers/foo-0/restart")
    assert kinds(api) == []
    dockerd.docker("start", "foo-0")
    assert kinds(api) == ["older-running"]
    dockerd.docker("rm", "-f", "foo-0")
    assert kinds(api) == ["missing"]
    api.data("DELETE", "/containers/foo-0", {"force": True, "delEtcdInfoAndVersionRecord": True})
    assert kinds(api) == []


def test_a_container_that_used_up_its_memory_says_so(api: Server, dockerd: Dockerd) -> None:
    greedy = """[ ! -e /go ] || exec awk 'BEGIN { s = "x"; while (1) s = s s }'; sleep 1000"""
    api.create("foo", cmd=["sh", "-c", greedy])
    api.sh("foo-0", "touch /go")
    dockerd.docker("update", "--memory", "20m", "--memory-swap", "20m", "foo-0")
    while not ended_for_want_of_memory(dockerd, "foo-0"):
        pass  # under load Docker may hear of the end before it hears of its cause, which it then never tells
    (drift,) = api.data("GET", "/containers/foo")["drift"]
    assert drift["kind"] == "exited" and "want of memory" in drift["reason"]


def ended_for_want_of_memory(dockerd: Dockerd, name: str) -> bool:
    """Start it anew and wait for its end: whether Docker knows why that came. The test's own limit ends the tries."""
    dockerd.docker("restart", "-t", "0", name)
    deadline = time.monotonic() + 20
    while (state := dockerd.docker("inspect", "-f", "{{.State.Running}} {{.State.OOMKilled}}", name)).startswith(
        "true"
    ):
        assert time.monotonic() < deadline, "it runs on"
        time.sleep(0.1)
    return state == "false true"


def test_what_is_left_of_an_erased_family_is_listed(api: Server, dockerd: Dockerd) -> None:
    api.create("foo")
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1})
    assert api.data("GET", "/containers")["leftovers"] == []
    api.data("DELETE", "/containers/foo-1", {"force": True, "delEtcdInfoAndVersionRecord": True})
    (left,) = api.data("GET", "/containers")["leftovers"]
    assert (left["name"], left["state"]) == ("foo-0", "exited")
    assert "DELETE /api/v1/containers/foo-0" in left["drift"][0]["advice"]
    api.data("DELETE", "/containers/foo-0")
    assert api.data("GET", "/containers")["leftovers"] == []


def test_volumes_that_are_lost_or_used_by_others(api: Server, dockerd: Dockerd) -> None:
    def seen(name: str) -> list[str]:
        found = api.data("GET", f"/volumes/{name}")["drift"]
        assert {v["name"]: v["drift"] for v in api.data("GET", "/volumes")["volumes"]}[f"{name}-0"] == found
        return [drift["kind"] for drift in found if drift["kind"] != "unenforced"]

    for name in ("lost", "used"):
        api.data("POST", "/volumes", {"name": name, "size": "20MB"})
    dockerd.docker("run", "-dit", "--name", "stranger", "-v", "used-0:/x", IMAGE)
    dockerd.docker("volume", "rm", "lost-0")
    assert (seen("lost"), seen("used")) == (["missing"], ["foreign-mount"])
    api.create("foo", binds=[{"src": "used-0", "dest": "/x"}])
    assert kinds(api) == [] and seen("used") == ["foreign-mount"]


def test_a_container_made_with_docker_run_goes_on_as_one_of_ours(api: Server, dockerd: Dockerd) -> None:
    directory = api.binds / "shared"
    directory.mkdir()
    dockerd.docker("volume", "create", "plain")
    options = ["-e", "USER=foo", "-p", "45321:80", "-v", f"{directory}:/shared", "-v", "plain:/plain", "-v", "/scratch"]
    dockerd.docker("run", "-d", "--name", "mine", "--gpus", "2", *options, IMAGE, "sh", "-c", "sleep 10000")
    dockerd.docker(
        "exec", "mine", "sh", "-c", "echo vim >/root/vim; echo s >/scratch/s; echo p >/plain/p; rm /etc/group"
    )
    before = inspect(dockerd, "mine")
    told = api.command("adopt", "container", "mine", "--as", "foo")
    assert "foo-0" in told and "mine" in told
    old, new = inspect(dockerd, "mine"), inspect(dockerd, "foo-0")
    assert not old["State"]["Running"] and new["State"]["Running"]
    for part in ("Config", "HostConfig", "Name", "Id"):
        assert old[part] == before[part]
    shown = "cat /root/vim /scratch/s /plain/p; ls /etc/group 2>/dev/null; echo $USER; ls -d /shared"
    assert api.sh("foo-0", shown) == "vim\ns\np\nfoo\n/shared\n"
    assert new["Config"]["Cmd"] == ["sh", "-c", "sleep 10000"] and new["Image"] == before["Image"]
    assert new["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "45321"}]}
    (request,) = new["HostConfig"]["DeviceRequests"]
    assert set(request["DeviceIDs"]) == api.in_use() and len(api.in_use()) == 2
    assert kinds(api) == [] and api.data("GET", "/containers/foo")["versions"][0]["why"] == "adopt"
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3})
    assert api.sh("foo-1", shown) == "vim\ns\np\nfoo\n/shared\n"
    refused(api, "gpudock's already", "adopt", "container", "foo-1", "--as", "bar")


def refused(api: Server, words: str, *command: str) -> None:
    with pytest.raises(AssertionError, match=words):
        api.command(*command)


def test_refusals_change_nothing(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=7)
    dockerd.docker("volume", "create", "plain")
    run = ["run", "-dit", "--name"]
    dockerd.docker(*run, "odd", "--read-only", "--restart", "always", "--tmpfs", "/t", IMAGE)
    dockerd.docker(*run, "my-app", "-v", "plain:/plain", IMAGE)
    dockerd.docker(*run, "greedy", "--gpus", "2", IMAGE)
    dockerd.docker(*run, "outside", "-v", "/etc:/x", IMAGE)

    def everything() -> tuple[object, ...]:
        containers = dockerd.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Ports}}")
        images = dockerd.docker("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
        volumes = dockerd.docker("volume", "ls")
        listed = json.dumps([api.data("GET", "/containers"), api.data("GET", "/gpus")])
        return containers, sorted(images.splitlines()), volumes, listed

    before = everything()
    for words, *command in (
        ("--read-only.*--restart.*--tmpfs.*docker update --restart=no odd", "container", "odd"),
        ("give it another one with --as", "container", "my-app"),
        ("2 more GPUs are needed but 1 of 8 are free", "container", "greedy"),
        ("lies outside", "container", "outside"),
        ("Docker has no container nosuch", "container", "nosuch"),
        ("exists already", "container", "outside", "--as", "foo"),
        ("Docker has no volume nosuch", "volume", "nosuch", "--size", "20MB"),
        ("mounted by my-app", "volume", "plain", "--size", "20MB"),
    ):
        refused(api, f"(?s){words}", "adopt", *command)
        assert everything() == before, command


def test_a_volume_made_with_docker_goes_on_as_one_of_ours(api: Server, dockerd: Dockerd) -> None:
    dockerd.docker("volume", "create", "plain")
    dockerd.docker("run", "--name", "writer", "-v", "plain:/x", IMAGE, "sh", "-c", "head -c 9000000 /dev/zero >/x/big")
    refused(api, "more than the", "adopt", "volume", "plain", "--size", "4MB")
    assert dockerd.docker("volume", "ls", "-q") == "plain"
    assert "data-0" in api.command("adopt", "volume", "plain", "--size", "40MB", "--as", "data")
    api.create("foo", binds=[{"src": "data-0", "dest": "/x"}])
    assert api.sh("foo", "wc -c </x/big") == "9000000\n"
    shown = api.data("GET", "/volumes/data")
    assert (shown["size"], shown["why"]) == ("40MB", "adopt")
    assert set(dockerd.docker("volume", "ls", "-q").split()) == {"plain", "data-0"}
    refused(api, "gpudock's already", "adopt", "volume", "data-0", "--size", "40MB", "--as", "bar")
