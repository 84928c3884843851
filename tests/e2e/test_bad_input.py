"""Bad input over HTTP: the right status and code, and nothing changed."""

import socket
from typing import Any

import pytest

from tests.support.dockerd import Dockerd
from tests.support.server import Server

GOOD: dict[str, Any] = {"imageName": "busybox:test", "containerName": "foo"}
DEEP = b'{"cmd":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"imageName": "nosuch:image"}, 404, 2012),
        ({"imageName": ""}, 400, 1003),
        ({"containerName": ""}, 400, 1005),
        ({"containerName": "a-b"}, 400, 1006),
        ({"containerName": "/foo"}, 400, 2001),
        ({"containerName": "x" * 300}, 400, 2001),
        ({"containerName": "контейнер"}, 400, 2001),
        ({"containerName": "\ud800"}, 400, 1002),
        ({"containerName": 7}, 400, 1002),
        ({"gpuCount": -1}, 400, 1018),
        ({"gpuCount": "3"}, 400, 1002),
        ({"gpuCount": 1.5}, 400, 1002),
        ({"gpuCount": True}, 400, 1002),
        ({"gpuCount": 10**20}, 400, 1002),
        ({"gpuCount": 9}, 409, 1019),
        ({"env": ["NOEQUALS"]}, 400, 2003),
        ({"env": ["NVIDIA_VISIBLE_DEVICES=all"]}, 400, 2003),
        ({"env": ["LD_PRELOAD=/evil.so"]}, 400, 2003),
        ({"env": "A=b"}, 400, 1002),
        ({"binds": [{"src": "/etc", "dest": "/x"}]}, 400, 2002),
        ({"binds": [{"src": "{binds}/../../etc", "dest": "/x"}]}, 400, 2002),
        ({"binds": [{"src": "{binds}/link", "dest": "/x"}]}, 400, 2002),
        ({"binds": [{"src": "{binds}/a:ro", "dest": "/x"}]}, 400, 2002),
        ({"binds": [{"src": "nosuchvolume-0", "dest": "/x"}]}, 404, 2014),
        ({"binds": [{"src": "{binds}/a", "dest": "/"}]}, 400, 2002),
        ({"binds": [{"src": "{binds}/a", "dest": "/x"}, {"src": "{binds}/b", "dest": "/x"}]}, 400, 2002),
        ({"ports": [{"hostPort": 70000, "containerPort": 1}]}, 400, 1002),
        ({"ports": [{"hostPort": 1, "containerPort": 0}]}, 400, 1002),
        ({"ports": [{"hostPort": 1}]}, 400, 1002),
        ({"unknownField": 1}, 400, 1002),
        ({"cmd": ["/no/such/program"]}, 422, 1009),
    ],
)
def test_a_bad_create_is_refused_and_leaves_nothing(
    api: Server, dockerd: Dockerd, change: dict[str, Any], status: int, code: int
) -> None:
    link = api.binds / "link"
    if not link.is_symlink():
        link.symlink_to("/etc")
    body = {**GOOD, **change}
    if "binds" in change:
        body["binds"] = [{**bind, "src": bind["src"].replace("{binds}", str(api.binds))} for bind in change["binds"]]
    answer = api.call("POST", "/containers", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["msg"] and answer.json()["requestId"] == answer.headers["X-Request-Id"]
    assert dockerd.docker("ps", "-aq") == "" and api.in_use() == set()
    assert api.create("foo")["name"] == "foo-0"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, 1002),
        (b"[]", 400, 1002),
        (b"\xff\xfe", 400, 1002),
        (b'{"gpuCount": NaN}', 400, 1002),
        (b'{"gpuCount": ' + b"9" * 5000 + b"}", 400, 1002),
        (DEEP, 400, 1002),
        (b'{"imageName": "' + b"x" * (1 << 20) + b'"}', 413, 2061),
    ],
)
def test_a_bad_body_is_refused(api: Server, body: bytes, status: int, code: int) -> None:
    answer = api.call("POST", "/containers", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_port_of_a_foreign_process_is_refused(api: Server) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        answer = api.call("POST", "/containers", {**GOOD, "ports": [{"hostPort": port, "containerPort": 1}]})
    assert (answer.status_code, answer.json()["code"]) == (409, 2022)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/containers/nosuch", None, 404, 2011),
        ("GET", "/containers/foo-9", None, 404, 2011),
        ("GET", "/containers/foo-x", None, 400, 1007),
        ("GET", "/containers/foo-007", None, 400, 1007),
        ("PATCH", "/containers/nosuch-0/stop", None, 404, 2011),
        ("PATCH", "/containers/nosuch-0/restart", None, 404, 2011),
        ("PATCH", "/containers/nosuch-0/gpu", {"gpuCount": 1}, 404, 2011),
        ("PATCH", "/containers/foo-0/gpu", {"gpuCount": -1}, 400, 1018),
        ("PATCH", "/containers/foo-0/gpu", {}, 400, 1002),
        ("DELETE", "/containers/nosuch-0", None, 404, 2011),
        ("DELETE", "/containers/foo-0", {"force": "perhaps"}, 400, 1002),
        ("POST", "/containers/nosuch-0/execute", {"cmd": ["true"]}, 404, 2011),
        ("POST", "/containers/foo-0/execute", {"cmd": []}, 400, 1002),
        ("POST", "/containers/foo-0/execute", {"cmd": ["no-such-command"]}, 422, 1012),
        ("POST", "/containers/foo-0/execute", {"cmd": ["true"], "workDir": "/no/such"}, 422, 1012),
        ("POST", "/containers/foo-0/commit", {"newImageName": "UPPER CASE"}, 400, 1002),
        ("GET", "/containers?limit=0", None, 400, 1002),
        ("GET", "/containers?cursor=%21", None, 400, 1002),
        ("GET", "/containers?state=happy", None, 400, 1002),
        ("GET", "/containers/foo-0/logs?tail=-1", None, 400, 1002),
        ("GET", "/nothing", None, 404, 2010),
        ("PUT", "/containers", None, 405, 2060),
    ],
)
def test_what_cannot_be_done_is_said(api: Server, method: str, path: str, body: Any, status: int, code: int) -> None:
    api.create("foo")
    answer = api.call(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.data("GET", "/containers/foo-0")["state"] == "running"


def test_old_versions_refuse_changes_and_stopped_ones_commands(api: Server) -> None:
    api.create("foo")
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1})
    for action, body in (("gpu", {"gpuCount": 2}), ("stop", None), ("restart", None)):
        answer = api.call("PATCH", f"/containers/foo-0/{action}", body)
        assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (409, 1034, {"newest": "foo-1"})
    answer = api.call("POST", "/containers/foo-0/execute", {"cmd": ["true"]})
    assert (answer.status_code, answer.json()["code"]) == (409, 1012)


def test_a_command_that_runs_for_ever_is_ended(api: Server) -> None:
    api.create("foo")
    answer = api.call("POST", "/containers/foo/execute", {"cmd": ["sh", "-c", "echo begun; sleep 1000"]})
    assert (answer.status_code, answer.json()["code"]) == (422, 2030)
    assert answer.json()["data"]["stdout"] == "begun\n"
    assert "sleep 1000" not in api.sh("foo", "ps")


def test_a_flood_of_output_is_cut_and_binary_is_text(api: Server) -> None:
    api.create("foo")
    flood = api.data("POST", "/containers/foo/execute", {"cmd": ["head", "-c", "1000000000", "/dev/zero"]})
    assert flood["truncated"] and flood["exitCode"] is None
    assert "head" not in api.sh("foo", "ps")
    assert len(flood["stdout"]) == 1 << 20 and not flood["stdout"].strip("\0")
    binary = api.data("POST", "/containers/foo/execute", {"cmd": ["printf", "a\\377\\000b"]})
    assert binary["stdout"] == "a\ufffd\0b" and not binary["truncated"]


def test_without_the_token_nothing_is_told(api: Server) -> None:
    for token in ("", "Bearer wrong-token-wrong-token", "Basic abc"):
        answer = api.call("GET", "/gpus", headers={"Authorization": token})
        assert (answer.status_code, answer.json()["code"]) == (401, 2050)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
