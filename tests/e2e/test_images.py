"""Images through the API, over a real Docker and a real registry."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.registry import Registry
from tests.support.server import Server
from tests.support.volumes import wait_for

ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@pytest.fixture
def offered(api: Server, dockerd: Dockerd, registry: Registry) -> Iterator[str]:
    """The name of an image with 4 MB of its own that only the registry has; what is pulled goes in the end."""
    name = f"{registry.address}/offered:1"
    before = images(dockerd)
    dockerd.docker("run", "--name", "fill", IMAGE, "sh", "-c", "head -c 4194304 /dev/urandom >/big")
    dockerd.docker("commit", "fill", name)
    dockerd.docker("push", "-q", name)
    dockerd.docker("rm", "fill")
    dockerd.docker("rmi", name)
    yield name
    dockerd.remove_containers()
    for image in images(dockerd):
        if image not in before:
            dockerd.docker("rmi", "-f", image)


def images(dockerd: Dockerd) -> list[str]:
    """Their ids, the newest first, so that none comes after what it was made of."""
    return list(dict.fromkeys(dockerd.docker("images", "-q", "--no-trunc").split()))


def test_an_image_is_pulled_used_committed_named_and_removed(api: Server, offered: str) -> None:
    response = api.call("POST", "/images/pull", {"image": offered}, headers={"Prefer": "respond-async"})
    assert response.status_code == 202 and response.json()["data"]["target"] == offered
    path = response.headers["Location"].removeprefix("/api/v1")
    wait_for(lambda: api.data("GET", path)["state"] == "done")
    done = api.data("GET", path)
    assert done["resource"] == "images" and done["bytesDone"] == done["bytesTotal"] > 4 << 20
    assert [step["step"] for step in done["steps"]][-1] == "unpacking" and done["code"] is None
    assert done["by"] == "api"
    again = api.call("POST", "/images/pull", {"image": offered}).json()
    assert again["msg"] == "unchanged" and again["data"]["name"] == offered
    assert again["data"]["id"] == api.data("GET", f"/images/{offered}")["id"]

    api.data("POST", "/containers", {"imageName": offered, "containerName": "foo"})
    api.data("POST", "/containers/foo/commit", {"newImageName": "saved:1"})
    found = {image["id"]: image for image in api.data("GET", "/images")["images"]}
    assert found[again["data"]["id"]]["usedBy"] == ["foo-0"] and found[again["data"]["id"]]["size"] > 4 << 20
    saved = api.data("POST", "/images/saved:1/tag", {"newName": "team/images/saved"})
    assert (saved["commitOf"], saved["node"], saved["usedBy"]) == ("foo-0", "test-node", [])
    assert saved["names"] == ["saved:1", "team/images/saved:latest"]

    refused = api.call("DELETE", f"/images/{offered}")
    assert refused.status_code == 409 and refused.json()["code"] == 2113
    assert refused.json()["data"] == {"containers": ["foo-0"]}
    api.data("DELETE", "/images/team/images/saved:latest")
    assert api.data("GET", "/images/saved:1")["names"] == ["saved:1"]
    unused = api.data("GET", f"/images?unused=true&name={saved['id'].removeprefix('sha256:')}")["images"]
    assert [image["id"] for image in unused] == [saved["id"]]
    api.data("DELETE", "/containers/foo", ERASE)
    api.data("DELETE", f"/images/{saved['id']}")
    assert api.call("GET", "/images/saved:1").json()["code"] == 2012


def test_what_nobody_needs_goes_only_when_asked_for(api: Server, offered: str, dockerd: Dockerd) -> None:
    api.data("POST", "/images/pull", {"image": offered})
    api.data("POST", "/images/prune")  # what other tests left
    dockerd.docker("run", "--name", "by-hand", offered, "true")
    nameless = dockerd.docker("commit", "by-hand")
    plan = api.data("POST", "/images/prune?dryRun=true")
    assert plan["dryRun"] and [image["id"] for image in plan["images"]] == [nameless] and plan["size"] > 4 << 20
    everything = api.data("POST", "/images/prune?dryRun=true", {"untaggedOnly": False})["images"]
    assert not any(offered in image["names"] for image in everything), "by-hand needs it"
    gone = api.data("POST", "/images/prune")
    assert not gone["dryRun"] and [image["id"] for image in gone["images"]] == [nameless]
    assert api.data("POST", "/images/prune") == {"dryRun": False, "images": [], "size": 0}


def test_what_is_wrong_is_said_with_a_code(api: Server, registry: Registry) -> None:
    begun = time.monotonic()
    for body, status, code in (
        ({"image": ""}, 400, 1003),
        ({"image": "-x"}, 400, 1002),
        ({"image": "127.0.0.1:1/nothing"}, 503, 2110),
        ({"image": f"{registry.address}/nothing"}, 404, 2111),
    ):
        answer = api.call("POST", "/images/pull", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert time.monotonic() - begun < 60
    assert "127.0.0.1:1" in api.data("GET", "/operations?kind=pull&limit=2")["operations"][1]["error"]
    for path, code in (("nothing:1", 2012), ("../../containers", 2010)):
        assert api.call("DELETE", f"/images/{path}").json()["code"] == code, path
    for name, code in (("", 1003), ("UPPER", 1002), ("busybox:volume", 2025)):
        answer = api.call("POST", f"/images/{IMAGE}/tag", {"newName": name})
        assert answer.json()["code"] == code, answer.text
    plan = api.call("POST", "/images/pull?dryRun=true", {"image": "any"}).json()["data"]
    assert (plan["kind"], plan["name"], plan["changes"]) == ("pull", "any:latest", True)


def test_a_pull_from_a_silent_registry_is_cancelled(api: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}/a:1"
        begun = api.call("POST", "/images/pull", {"image": name}, headers={"Prefer": "respond-async"})
        assert begun.status_code == 202, begun.text
        assert api.call("POST", "/images/pull", {"image": name}).json()["code"] == 2021
        cancelled = api.data("DELETE", begun.headers["Location"].removeprefix("/api/v1"))
    assert (cancelled["state"], cancelled["target"], cancelled["code"]) == ("undone", name, 2029)
