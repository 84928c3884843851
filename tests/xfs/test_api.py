"""Volumes over HTTP where Docker enforces sizes by project quotas: the contract, on real gunicorn, Docker and etcd."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import Dockerd
from tests.support.server import Server
from tests.support.trees import differences, make_everything
from tests.support.volumes import remove_everything

MB = 1 << 20
ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@pytest.fixture
def site(api: Server, dockerd: Dockerd) -> Iterator[Server]:
    """The server with nothing in it; what the test left is removed."""
    yield api
    remove_everything(dockerd)


def create(site: Server, name: str, size: str) -> Any:
    return site.data("POST", "/volumes", {"name": name, "size": size})


def resize(site: Server, name: str, size: str) -> Any:
    return site.data("PATCH", f"/volumes/{name}/size", {"size": size})


def listed(site: Server, name: str) -> Any:
    """The volume's line in the list of all."""
    (line,) = [volume for volume in site.data("GET", "/volumes")["volumes"] if volume["name"] == name]
    return line


def inspected(dockerd: Dockerd, volume: str) -> Any:
    (seen,) = json.loads(dockerd.docker("volume", "inspect", volume))
    return seen


def directory(dockerd: Dockerd, volume: str) -> Path:
    return Path(inspected(dockerd, volume)["Mountpoint"])


def test_a_volume_grows_and_shrinks_with_its_data(site: Server, dockerd: Dockerd) -> None:
    assert create(site, "rubVol", "20GB") == {"name": "rubVol-0", "size": "20GB"}
    make_everything(directory(dockerd, "rubVol-0"))
    assert resize(site, "rubVol-0", "50GB") == {"name": "rubVol-1", "size": "50GB"}
    assert resize(site, "rubVol-1", "40MB") == {"name": "rubVol-2", "size": "40MB"}
    for volume, size in (("rubVol-0", "20GB"), ("rubVol-1", "50GB"), ("rubVol-2", "40MB")):
        seen = inspected(dockerd, volume)
        assert (seen["Driver"], seen["Options"]) == ("local", {"size": size})
        assert differences(directory(dockerd, "rubVol-0"), directory(dockerd, volume)) == []


def test_a_container_meets_the_limit_and_the_list_tells_of_it(site: Server) -> None:
    create(site, "vol", "30MB")
    site.create("foo", binds=[{"src": "vol-0", "dest": "/data"}])
    assert site.sh("foo-0", "df -k /data | awk 'END { print $2 }'").strip() == str(30 * 1024)
    script = "dd if=/dev/zero of=/data/x bs=64k 2>&1; stat -c %s /data/x; rm /data/x"
    *said, size = site.sh("foo-0", script).splitlines()
    assert "No space left on device" in " ".join(said)
    assert 0.95 * 30 * MB <= int(size) <= 1.02 * 30 * MB
    site.sh("foo-0", "dd if=/dev/zero of=/data/kept bs=1M count=6; sync")
    line = listed(site, "vol-0")
    assert (line["enforced"], line["way"], line["bytes"]) == (True, "quota", 30 * MB)
    assert 6 * MB <= line["used"] < 7 * MB
    assert line["mountedBy"] == [{"container": "foo-0", "dest": "/data", "running": True}]


def test_what_is_in_use_has_to_fit(site: Server, dockerd: Dockerd) -> None:
    create(site, "vol", "30MB")
    (directory(dockerd, "vol-0") / "x").write_bytes(bytes(12 * MB))
    answer = site.call("PATCH", "/volumes/vol-0/size", {"size": "10MB"})
    assert (answer.status_code, answer.json()["code"]) == (409, 1029)
    assert dockerd.docker("volume", "ls", "-q") == "vol-0"
    assert listed(site, "vol-0")["size"] == "30MB"
    assert resize(site, "vol-0", "13MB")["name"] == "vol-1"
    assert (directory(dockerd, "vol-1") / "x").stat().st_size == 12 * MB


def test_a_family_made_anew_is_empty_and_has_its_limit(site: Server, dockerd: Dockerd) -> None:
    create(site, "vol", "30MB")
    (directory(dockerd, "vol-0") / "x").write_bytes(bytes(12 * MB))
    site.data("DELETE", "/volumes/vol-0", ERASE)
    assert create(site, "vol", "20MB") == {"name": "vol-0", "size": "20MB"}
    place = directory(dockerd, "vol-0")
    assert list(place.iterdir()) == []
    with pytest.raises(OSError, match="No space left"):
        (place / "y").write_bytes(bytes(21 * MB))


def test_a_deleted_volume_comes_back_with_the_next_resize(site: Server, dockerd: Dockerd) -> None:
    create(site, "vol", "30MB")
    (directory(dockerd, "vol-0") / "x").write_bytes(b"kept")
    site.data("DELETE", "/volumes/vol-0")
    assert dockerd.docker("volume", "ls", "-q") == ""
    assert resize(site, "vol-0", "20MB") == {"name": "vol-1", "size": "20MB"}
    assert (directory(dockerd, "vol-1") / "x").read_bytes() == b"kept"
    assert listed(site, "vol-1")["enforced"] is True
