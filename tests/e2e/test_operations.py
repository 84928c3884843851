"""Changes that are watched, cancelled, previewed, or go on in the background."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.e2e.test_volumes import make, refused, shown, site, wait_for
from tests.support.dockerd import Dockerd
from tests.support.server import Server

__all__ = ["site"]
ASYNC = {"Prefer": "respond-async"}
FILL = "i=0; while [ $i -lt 6000 ]; do mkdir -p /many/$((i % 60)); echo $i >/many/$((i % 60))/$i; i=$((i + 1)); done"


def operation(api: Server, answer: requests.Response) -> dict[str, Any]:
    """What an asynchronous answer's Location shows."""
    found: dict[str, Any] = api.data("GET", answer.headers["Location"].removeprefix("/api/v1"))
    return found


def hold_copy(dockerd: Dockerd) -> None:
    """Let the cp that copies volumes of that Docker stand still as soon as there is one: disks differ in speed."""
    pid = wait_for(lambda: _copying(dockerd), 60, pause=0.001)
    os.kill(pid, signal.SIGSTOP)


def _copying(dockerd: Dockerd) -> int | None:
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = found.read_bytes()
            if command.startswith(b"cp\0") and f"{dockerd.data}/gpudock/volumes/".encode() in command:
                return int(found.parent.name)
    return None


def ended(api: Server, answer: requests.Response) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(lambda: (now := operation(api, answer))["state"] != "running" and now, 60)
    return found


def test_a_change_in_the_background_is_answered_at_once_and_ends(site: Server) -> None:
    site.create("foo", gpuCount=1)
    answer = site.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3}, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["code"], body["msg"], body["data"]["kind"]) == (202, "accepted", "gpu")
    assert answer.headers["Location"] == f"/api/v1/operations/{body['data']['id']}"
    done = ended(site, answer)
    assert (done["state"], done["target"], done["error"]) == ("done", "foo-1", None) and done["ended"]
    assert len(site.in_use()) == 3
    assert site.data("GET", "/operations?name=foo")["operations"][0]["id"] == done["id"]


def test_what_is_refused_or_changes_nothing_is_answered_at_once(site: Server) -> None:
    site.create("foo", gpuCount=1)
    same = site.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1}, headers=ASYNC)
    assert (same.status_code, same.json()["msg"]) == (200, "unchanged")
    assert refused(site.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 9}, headers=ASYNC)) == (409, 1019)


def test_a_failure_in_the_background_is_shown(site: Server) -> None:
    body = {"imageName": "busybox:test", "containerName": "foo", "cmd": ["no-such-program"]}
    answer = site.call("POST", "/containers", body, headers=ASYNC)
    assert answer.status_code == 202
    done = ended(site, answer)
    assert done["state"] == "undone" and "no-such-program" in done["error"]
    assert site.data("GET", "/containers")["containers"] == []


def test_a_long_copy_shows_its_progress_and_can_be_cancelled(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "3GB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/data"}])
    site.sh("foo", "dd if=/dev/urandom of=/data/big bs=1M count=1000")
    site.data("PATCH", "/containers/foo/stop")
    answer = site.call("PATCH", "/volumes/vol-0/size", {"size": "4GB"}, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    hold_copy(dockerd)
    seen = wait_for(lambda: (now := operation(site, answer))["bytesTotal"] and now)
    assert seen["step"] == "copying" and 0 <= seen["bytesDone"] <= seen["bytesTotal"] < 1100 << 20
    begun = time.monotonic()
    cancelled = site.data("DELETE", answer.headers["Location"].removeprefix("/api/v1"))
    assert cancelled["state"] == "undone" and "cancelled" in cancelled["error"] and time.monotonic() - begun < 60
    assert dockerd.docker("volume", "ls", "-q") == "vol-0" and shown(site, "vol")["name"] == "vol-0"
    late = site.call("DELETE", answer.headers["Location"].removeprefix("/api/v1"))
    assert refused(late) == (409, 2032)
    assert refused(site.call("DELETE", "/operations/none")) == (404, 2016)
    assert site.data("PATCH", "/volumes/vol-0/size", {"size": "4GB"})["name"] == "vol-1"


def test_a_preview_says_what_would_happen_and_changes_nothing(site: Server, dockerd: Dockerd) -> None:
    site.create("foo", gpuCount=2, ports=[{"containerPort": 80}])
    site.sh("foo", FILL)
    held, before = site.in_use(), dockerd.docker("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}")
    told = site.data("PATCH", "/containers/foo/gpu?dryRun=true", {"gpuCount": 5})
    assert (told["kind"], told["name"], told["changes"], told["blockers"]) == ("gpu", "foo-1", True, [])
    assert len(told["gpus"]) == 5 and held < set(told["gpus"]) and len(told["ports"]) == 1
    assert told["filesToCopy"] >= 6000 and told["bytesToCopy"] >= 6000 * 4096 and 0 < told["expectedDowntime"] < 2
    told = site.data("PATCH", "/containers/foo/gpu?dryRun=true", {"gpuCount": 9})
    assert not told["changes"] and told["blockers"][0]["code"] == 1019
    assert told["blockers"][0]["data"] == {"requested": 7, "free": 6, "total": 8}
    assert site.data("PATCH", "/containers/foo/gpu?dryRun=true", {"gpuCount": 2})["changes"] is False
    fresh = {"imageName": "busybox:test", "containerName": "bar", "gpuCount": 1}
    assert site.data("POST", "/containers?dryRun=1", fresh)["name"] == "bar-0"
    assert site.data("POST", "/volumes?dryRun=true", {"name": "v", "size": "1GB"})["name"] == "v-0"
    assert site.data("DELETE", "/containers/foo?dryRun=true", {"force": True})["kind"] == "delete"
    assert refused(site.call("PATCH", "/containers/foo/stop?dryRun=maybe")) == (400, 1002)
    assert site.in_use() == held and dockerd.docker("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}") == before
    assert site.data("GET", "/operations?state=running")["operations"] == []
