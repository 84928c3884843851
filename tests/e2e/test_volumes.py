"""Volumes over HTTP, on a real Docker and a real etcd; their sizes are enforced by filesystems of their own."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from tests.support.dockerd import Dockerd
from tests.support.server import Server
from tests.support.trees import differences, make_everything
from tests.support.volumes import loop_devices, mounted

Found = TypeVar("Found")
MB = 1 << 20
ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@pytest.fixture
def site(api: Server, dockerd: Dockerd) -> Iterator[Server]:
    """The server, from which every volume is deleted after the test, as a caller would."""
    yield api
    dockerd.remove_containers()
    for volume in api.data("GET", "/volumes")["volumes"]:
        versions = api.data("GET", f"/volumes/{volume['name']}")["versions"]
        for version in sorted(versions, key=lambda version: version["version"]):
            api.data("DELETE", f"/volumes/{version['name']}", ERASE)
    # A worker that has just started may still be trying out how sizes are enforced here.
    wait_for(lambda: dockerd.docker("volume", "ls", "-q", "--filter", "label=gpudock.node") == "")
    wait_for(lambda: not mounted(dockerd) and not loop_devices(dockerd))


def make(api: Server, name: str, size: str) -> str:
    made: dict[str, str] = api.data("POST", "/volumes", {"name": name, "size": size})
    return made["name"]


def data_of(dockerd: Dockerd, volume: str) -> Path:
    """The directory of this host that a container sees as the volume."""
    seen = json.loads(dockerd.docker("volume", "inspect", volume))[0]
    return Path((seen["Options"] or {}).get("device") or seen["Mountpoint"])


def refused(response: requests.Response) -> tuple[int, int]:
    return response.status_code, response.json()["code"]


def wait_for(condition: Callable[[], Found], seconds: float = 20, pause: float = 0.05) -> Found:
    """What the condition gives as soon as that is something; it is asked every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
    return found


def shown(api: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.data("GET", f"/volumes/{name}")
    return found


def test_create_resize_and_delete_as_in_the_contract(site: Server, dockerd: Dockerd) -> None:
    assert site.data("POST", "/volumes", {"name": "rubVol", "size": "20gb"}) == {"name": "rubVol-0", "size": "20GB"}
    assert json.loads(dockerd.docker("volume", "inspect", "rubVol-0"))[0]["Driver"] == "local"
    make_everything(data_of(dockerd, "rubVol-0"))
    made = site.data("PATCH", "/volumes/rubVol-0/size", {"size": "50GB"})
    assert made == {"name": "rubVol-1", "size": "50GB"}
    made = site.data("PATCH", "/volumes/rubVol-1/size", {"size": "100MB"})
    assert made == {"name": "rubVol-2", "size": "100MB"}
    for version in ("rubVol-1", "rubVol-2"):
        assert differences(data_of(dockerd, "rubVol-0"), data_of(dockerd, version)) == []
    assert refused(site.call("PATCH", "/volumes/rubVol-1/size", {"size": "1GB"})) == (409, 1034)
    assert site.data("DELETE", "/volumes/rubVol-2", ERASE) is None
    assert site.call("GET", "/volumes/rubVol").json()["code"] == 2014
    assert refused(site.call("POST", "/volumes", {"name": "rubVol", "size": "1GB"})) == (409, 1025)
    for older in ("rubVol-0", "rubVol-1"):
        site.data("DELETE", f"/volumes/{older}")
    assert make(site, "rubVol", "1MB") == "rubVol-0"


def test_an_equal_size_changes_nothing(site: Server) -> None:
    make(site, "vol", "1GB")
    answer = site.call("PATCH", "/volumes/vol/size", {"size": "1024mb"}).json()
    assert answer == {"code": 200, "msg": "unchanged", "data": {"name": "vol-0", "size": "1GB"}}


def test_a_full_volume_ends_what_its_containers_write_and_is_told(site: Server) -> None:
    make(site, "vol", "30MB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/data"}])
    script = "dd if=/dev/zero of=/data/x bs=1M count=100 2>&1; stat -c %s /data/x; rm /data/x; df -m /data | tail -n 1"
    *said, size, free = site.sh("foo-0", script).splitlines()
    assert "No space left" in " ".join(said) and 28 * MB < int(size) <= 31 * MB
    assert 28 <= int(free.split()[1]) <= 31
    site.sh("foo-0", "dd if=/dev/zero of=/data/kept bs=1M count=6")
    volume = shown(site, "vol")
    assert volume["enforced"] and volume["bytes"] == 30 * MB and 6 * MB <= volume["used"] < 7 * MB
    assert volume["mountedBy"] == [{"container": "foo-0", "dest": "/data", "running": True}]
    answer = site.call("PATCH", "/volumes/vol-0/size", {"size": "5MB"})
    assert refused(answer) == (409, 1029) and answer.json()["data"]["size"] == 5 * MB
    assert shown(site, "vol")["name"] == "vol-0"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "", "size": "1GB"}, 400, 1023),
        ({"size": "1GB"}, 400, 1023),
        ({"name": "a-b", "size": "1GB"}, 400, 1030),
        ({"name": "/a", "size": "1GB"}, 400, 1031),
        ({"name": "ä", "size": "1GB"}, 400, 2001),
        ({"name": "x" * 300, "size": "1GB"}, 400, 2001),
        ({"name": "vol", "size": "20 gigs"}, 400, 1028),
        ({"name": "vol", "size": "20GiB"}, 400, 1028),
        ({"name": "vol", "size": "1e3GB"}, 400, 1002),
        ({"name": "vol", "size": "-1GB"}, 400, 1002),
        ({"name": "vol", "size": "0GB"}, 400, 1002),
        ({"name": "vol", "size": 5}, 400, 1002),
        ({"name": "vol"}, 400, 1002),
        ({"name": "taken", "size": "1GB"}, 409, 1025),
        ({"name": "foreign", "size": "1GB"}, 409, 1025),
    ],
)
def test_what_cannot_be_created_is_refused(
    site: Server, dockerd: Dockerd, body: dict[str, Any], status: int, code: int
) -> None:
    make(site, "taken", "1MB")
    dockerd.docker("volume", "create", "foreign-0")
    assert refused(site.call("POST", "/volumes", body)) == (status, code)
    assert [volume["name"] for volume in site.data("GET", "/volumes")["volumes"]] == ["taken-0"]
    dockerd.docker("volume", "rm", "foreign-0")


def test_names_in_paths_are_checked(site: Server) -> None:
    make(site, "vol", "1MB")
    for path, status, code in (
        ("/volumes/vol-x/size", 400, 1026),
        ("/volumes/vol-1/size", 404, 2014),
        ("/volumes/none-0/size", 404, 2014),
    ):
        assert refused(site.call("PATCH", path, {"size": "2MB"})) == (status, code)


def test_who_uses_a_volume_keeps_it(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "10MB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/data"}])
    site.sh("foo-0", "echo kept >/data/x")
    for body in ({}, {"force": True}, ERASE):
        assert refused(site.call("DELETE", "/volumes/vol-0", body)) == (409, 2027)
    site.data("PATCH", "/containers/foo-0/stop")
    assert refused(site.call("DELETE", "/volumes/vol-0")) == (409, 2027)
    assert (data_of(dockerd, "vol-0") / "x").read_text() == "kept\n"
    assert site.data("DELETE", "/volumes/vol-0", ERASE) is None
    assert site.call("GET", "/volumes/vol").status_code == 404
    site.data("DELETE", "/containers/foo-0", ERASE)
    assert dockerd.docker("volume", "ls", "-q") == ""


def test_a_kept_record_gives_the_data_back_at_the_next_resize(site: Server, dockerd: Dockerd) -> None:
    make(site, "vol", "20MB")
    make_everything(data_of(dockerd, "vol-0"))
    before = site.data("PATCH", "/volumes/vol-0/size", {"size": "25MB"})
    assert site.data("DELETE", f"/volumes/{before['name']}") is None
    assert dockerd.docker("volume", "ls", "-q") == "vol-0" and shown(site, "vol")["state"] == "removed"
    assert refused(site.call("POST", "/volumes", {"name": "vol", "size": "1MB"})) == (409, 1025)
    answer = site.call(
        "POST",
        "/containers",
        {"imageName": "busybox:test", "containerName": "foo", "binds": [{"src": "vol-1", "dest": "/d"}]},
    )
    assert refused(answer) == (404, 2014)
    assert site.data("PATCH", "/volumes/vol-1/size", {"size": "30MB"})["name"] == "vol-2"
    assert differences(data_of(dockerd, "vol-0"), data_of(dockerd, "vol-2")) == []


def test_what_is_written_until_the_switch_is_in_the_new_volume(site: Server) -> None:
    make(site, "vol", "20MB")
    script = 'trap "echo last >>/vol/log; exit" TERM; while :; do echo line >>/vol/log; sleep 0.01; done'
    site.create("foo", binds=[{"src": "vol-0", "dest": "/vol"}], cmd=["sh", "-c", script])
    site.sh("foo", "echo doomed >/vol/doomed")
    wait_for(lambda: site.sh("foo", "ls /vol") == "doomed\nlog\n")
    site.data("PATCH", "/volumes/vol-0/size", {"size": "30MB"})
    site.sh("foo-0", "rm /vol/doomed; mkdir /vol/later; echo meanwhile >/vol/later/x")
    change = {
        "type": "volume",
        "oldBind": {"src": "vol-0", "dest": "/vol"},
        "newBind": {"src": "vol-1", "dest": "/vol"},
    }
    made = site.data("PATCH", "/containers/foo-0/volume", change)
    assert made["name"] == "foo-1" and made["merged"] is True
    assert site.sh("foo-1", "cat /vol/later/x; ls /vol/doomed 2>&1 | grep -c 'No such'") == "meanwhile\n1\n"
    assert "last" in site.sh("foo-1", "cat /vol/log").split()
    assert shown(site, "vol")["complete"] is True


def test_a_successor_that_somebody_mounted_is_left_as_it_is(site: Server) -> None:
    make(site, "vol", "20MB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/data"}])
    site.data("PATCH", "/volumes/vol-0/size", {"size": "30MB"})
    site.create("early", binds=[{"src": "vol-1", "dest": "/data"}])
    site.sh("early", "echo mine >/data/x")
    site.data("DELETE", "/containers/early", ERASE)
    site.sh("foo", "echo theirs >/data/x")
    change = {
        "type": "volume",
        "oldBind": {"src": "vol-0", "dest": "/data"},
        "newBind": {"src": "vol-1", "dest": "/data"},
    }
    assert site.data("PATCH", "/containers/foo/volume", change)["merged"] is False
    assert site.sh("foo", "cat /data/x") == "mine\n"


def test_going_back(site: Server) -> None:
    make(site, "vol", "20MB")
    site.create("foo", gpuCount=2, binds=[{"src": "vol-0", "dest": "/data"}])
    site.sh("foo", "echo first >/data/x; echo first >/root/x")
    site.data("PATCH", "/volumes/vol/size", {"size": "30MB"})
    site.data("PATCH", "/containers/foo/gpu", {"gpuCount": 1})
    site.sh("foo", "echo second >/root/x")
    assert site.data("PATCH", "/containers/foo-1/rollback", {"version": 0})["name"] == "foo-2"
    assert site.sh("foo", "cat /root/x") == "first\n" and len(site.in_use()) == 2
    assert [v["state"] for v in site.data("GET", "/containers/foo")["versions"]] == ["running", "stopped", "stopped"]
    made = site.data("PATCH", "/volumes/vol-1/rollback", {"version": 0})
    assert made == {"name": "vol-2", "size": "20MB"}
    assert [(v["why"], v["parent"]) for v in shown(site, "vol")["versions"]] == [
        ("rollback", 0),
        ("resize", 0),
        ("create", None),
    ]
    site.create("bar", binds=[{"src": "vol-2", "dest": "/data"}])
    assert site.sh("bar", "cat /data/x") == "first\n"
    for path in ("/containers/foo-2/rollback", "/volumes/vol-2/rollback"):
        assert site.call("PATCH", path, {"version": 2}).json()["msg"] == "unchanged"
        assert refused(site.call("PATCH", path, {"version": 3})) == (400, 1002)
        assert refused(site.call("PATCH", path, {"version": -1})) == (400, 1002)


def test_lists_filter_and_page(site: Server) -> None:
    for name in ("alpha", "beta", "gamma"):
        make(site, name, "1MB")
    site.create("foo", binds=[{"src": "beta-0", "dest": "/data"}])
    site.data("DELETE", "/volumes/gamma")

    def names(query: str) -> list[str]:
        return [volume["name"] for volume in site.data("GET", f"/volumes{query}")["volumes"]]

    assert names("") == ["alpha-0", "beta-0", "gamma-0"]
    assert names("?name=lph") == ["alpha-0"] and names("?container=foo-0") == ["beta-0"]
    assert names("?state=removed") == ["gamma-0"] and names("?state=present") == ["alpha-0", "beta-0"]
    first = site.data("GET", "/volumes?limit=2")
    assert [v["name"] for v in site.data("GET", f"/volumes?limit=2&cursor={first['next']}")["volumes"]] == ["gamma-0"]
    dry = site.data("PATCH", "/volumes/gamma-0/size?dryRun=true", {"size": "2MB"})
    assert (dry["name"], dry["changes"], dry["blockers"]) == ("gamma-1", True, [])
