"""The contract's examples over HTTP, on a real Docker and a real etcd."""

import json
from pathlib import Path
from typing import Any

from tests.support.dockerd import Dockerd
from tests.support.server import Server
from tests.support.trees import differences, make_everything
from tests.support.volumes import wait_for


def inspect(dockerd: Dockerd, name: str) -> Any:
    return json.loads(dockerd.docker("inspect", name))[0]


def test_create_as_in_the_contract(api: Server, dockerd: Dockerd) -> None:
    dockerd.docker("volume", "create", "veil-0")
    directory = api.binds / "ctr-knock"
    made = api.create(
        "knockGpu",
        gpuCount=3,
        binds=[{"src": "veil-0", "dest": "/root/veil-0"}, {"src": str(directory), "dest": "/root/data/ctr-knock"}],
        env=["USER=foo"],
        cmd=["/bin/sh"],
        Ports=[{"hostPort": 23331, "containerPort": 22}],
    )
    assert made["name"] == "knockGpu-0" and len(made["id"]) == 64
    seen = inspect(dockerd, "knockGpu-0")
    assert seen["Id"] == made["id"] and seen["State"]["Running"]
    (request,) = seen["HostConfig"]["DeviceRequests"]
    assert set(request["DeviceIDs"]) == api.in_use() and len(request["DeviceIDs"]) == 3
    assert request["Capabilities"] == [["gpu"]]
    assert seen["HostConfig"]["Binds"] == ["veil-0:/root/veil-0", f"{directory}:/root/data/ctr-knock"]
    assert seen["HostConfig"]["PortBindings"] == {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "23331"}]}
    assert seen["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    assert "USER=foo" in seen["Config"]["Env"] and seen["Config"]["Tty"] and seen["Config"]["OpenStdin"]
    assert seen["Config"]["Cmd"] == ["/bin/sh"]
    dockerd.docker("rm", "-f", "knockGpu-0")
    dockerd.docker("volume", "rm", "veil-0")


def test_without_gpus_there_is_no_device_request(api: Server, dockerd: Dockerd) -> None:
    api.create("plain")
    seen = inspect(dockerd, "plain-0")
    assert seen["HostConfig"]["DeviceRequests"] is None
    assert "NVIDIA_VISIBLE_DEVICES=void" in seen["Config"]["Env"]


def test_gpu_changes_keep_everything(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=2, env=["A=b c"], ports=[{"containerPort": 80}])
    before = api.in_use()
    api.sh("foo-0", "echo vim >/root/vim; rm /etc/group; mkdir /data/sub; rm -r /data; mkdir /data; echo new >/data/x")
    old = inspect(dockerd, "foo-0")
    for count, name in ((5, "foo-1"), (1, "foo-2"), (0, "foo-3"), (4, "foo-4")):
        made = api.data("PATCH", f"/containers/foo-{int(name[-1]) - 1}/gpu", {"gpuCount": count})
        assert made["name"] == name
        seen = inspect(dockerd, name)
        assert seen["State"]["Running"] and seen["Id"] == made["id"] and seen["Image"] == old["Image"]
        assert len(api.in_use()) == count
        for key in ("Env", "Cmd", "Tty", "OpenStdin", "Hostname"):
            if key != "Env" or count:
                assert seen["Config"][key] == old["Config"][key]
        assert seen["HostConfig"]["PortBindings"] == old["HostConfig"]["PortBindings"]
        assert api.sh(name, "cat /root/vim; ls /data /etc/group 2>/dev/null; true") == "vim\n/data:\nx\n"
        if name == "foo-1":
            assert before < api.in_use()
    listed = api.data("GET", "/containers/foo")["versions"]
    assert [(v["name"], v["state"]) for v in listed] == [
        ("foo-4", "running"),
        *[(f"foo-{n}", "stopped") for n in (3, 2, 1, 0)],
    ]
    assert [v["parent"] for v in listed] == [3, 2, 1, 0, None]


def test_a_volume_change_mounts_the_other_volume(api: Server, dockerd: Dockerd) -> None:
    for volume in ("aerialVol-0", "aerialVol-1", "other-0"):
        dockerd.docker("volume", "create", volume)
    binds = [{"src": "other-0", "dest": "/other"}, {"src": "aerialVol-0", "dest": "/root/aerialVol"}]
    host = {"src": str(api.binds / "marital"), "dest": "/host"}
    api.create("marital", gpuCount=2, binds=[*binds, host])
    api.sh("marital-0", "echo layer >/layer; echo old >/root/aerialVol/which; echo other >/other/which")
    held = api.in_use()
    new = {"src": "aerialVol-1", "dest": "/root/aerialVol"}
    change = {"type": "volume", "oldBind": binds[1], "newBind": new}
    made = api.data("PATCH", "/containers/marital-0/volume", change)
    seen = inspect(dockerd, "marital-1")
    assert made == {"id": seen["Id"], "name": "marital-1"} and api.in_use() == held
    assert seen["HostConfig"]["Binds"] == ["other-0:/other", "aerialVol-1:/root/aerialVol", f"{host['src']}:/host"]
    assert api.sh("marital", "cat /layer /other/which; ls /root/aerialVol") == "layer\nother\n"
    for body, status, code in (
        ({**change, "oldBind": new, "newBind": new}, 200, 200),
        (change, 404, 2015),
        ({**change, "oldBind": host}, 400, 2002),
        ({**change, "oldBind": new, "newBind": host}, 400, 2002),
        ({**change, "oldBind": new, "newBind": {**new, "src": "nosuch-0"}}, 404, 2014),
        ({**change, "oldBind": new, "newBind": {**new, "dest": "/other"}}, 400, 2002),
        ({**change, "type": "bind"}, 400, 1002),
    ):
        answer = api.call("PATCH", "/containers/marital-1/volume", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.data("GET", "/containers/marital")["name"] == "marital-1"


def test_the_layer_goes_along_whole(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    upper = Path(inspect(dockerd, "foo-0")["GraphDriver"]["Data"]["UpperDir"])
    (upper / "everything").mkdir()
    make_everything(upper / "everything")
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})
    new = Path(inspect(dockerd, "foo-1")["GraphDriver"]["Data"]["UpperDir"])
    assert differences(upper / "everything", new / "everything") == []
    assert api.data("PATCH", "/containers/foo-1/stop") is None
    api.data("PATCH", "/containers/foo-1/restart")
    newer = Path(inspect(dockerd, "foo-2")["GraphDriver"]["Data"]["UpperDir"])
    assert differences(upper / "everything", newer / "everything") == []
    api.data("DELETE", "/containers/foo-2", {"force": True, "delEtcdInfoAndVersionRecord": False})
    api.data("PATCH", "/containers/foo-2/gpu", {"gpuCount": 3})
    newest = Path(inspect(dockerd, "foo-3")["GraphDriver"]["Data"]["UpperDir"])
    assert differences(upper / "everything", newest / "everything") == []


def test_what_is_written_until_the_stop_is_in_the_new_version(api: Server) -> None:
    script = 'trap "echo last >>/log; exit" TERM; while :; do echo line >>/log; sleep 0.01; done'
    api.create("foo", gpuCount=1, cmd=["sh", "-c", script])
    wait_for(lambda: "line" in api.sh("foo-0", "touch /log; cat /log"))  # by then the shell has set its trap
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})
    assert "last" in api.sh("foo-1", "cat /log").split()


def test_an_images_own_volumes_are_carried(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", imageName="busybox:volume")
    api.sh("foo-0", "echo mine >/data/mine")
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1})
    assert api.sh("foo-1", "cat /data/mine /data/shipped") == "mine\nwith the image\n"
    volumes = dockerd.docker("volume", "ls", "-q").split()
    api.data("DELETE", "/containers/foo-1", {"force": True, "delEtcdInfoAndVersionRecord": True})
    api.data("DELETE", "/containers/foo-0", {"force": True, "delEtcdInfoAndVersionRecord": True})
    assert len(dockerd.docker("volume", "ls", "-q").split()) == len(volumes) - 1


def test_stop_and_restart(api: Server, dockerd: Dockerd) -> None:
    api.create("sarcastic", gpuCount=2)
    assert api.data("PATCH", "/containers/sarcastic-0/stop") is None
    assert api.in_use() == set() and not inspect(dockerd, "sarcastic-0")["State"]["Running"]
    assert api.call("PATCH", "/containers/sarcastic-0/stop").json()["msg"] == "unchanged"
    assert api.data("PATCH", "/containers/sarcastic-0/restart")["name"] == "sarcastic-1"
    assert len(api.in_use()) == 2
    api.create("plain")
    api.data("PATCH", "/containers/plain-0/stop")
    assert api.data("PATCH", "/containers/plain-0/restart")["name"] == "plain-0"


def test_unchanged_is_said(api: Server) -> None:
    made = api.create("foo", gpuCount=2)
    response = api.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})
    assert response.text.startswith('{"code":200,"msg":"unchanged","data":')
    answer = response.json()
    assert answer == {"code": 200, "msg": "unchanged", "data": made}


def test_delete_with_and_without_the_record(api: Server, dockerd: Dockerd) -> None:
    api.create("foo", gpuCount=1)
    api.sh("foo-0", "echo kept >/kept")
    refused = api.call("DELETE", "/containers/foo-0")
    assert (refused.status_code, refused.json()["code"]) == (409, 2023)
    assert api.data("DELETE", "/containers/foo-0", {"force": True}) is None
    assert api.in_use() == set() and dockerd.docker("ps", "-aq") == ""
    assert api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})["name"] == "foo-1"
    assert api.sh("foo", "cat /kept") == "kept\n"
    api.data("DELETE", "/containers/foo-1", {"force": True, "delEtcdInfoAndVersionRecord": True})
    assert api.call("GET", "/containers/foo").status_code == 404
    assert api.create("foo")["name"] == "foo-0"


def test_commit(api: Server, dockerd: Dockerd) -> None:
    made = api.create("advocate")
    api.sh("advocate-0", "echo in the image >/proof")
    answer = api.data("POST", "/containers/advocate-0/commit", {"newImageName": "advocate-0-12-27"})
    assert answer == {"container": "advocate-0", "imageName": "advocate-0-12-27"}
    assert api.data("POST", "/containers/advocate-0/commit") == {"container": "advocate-0", "imageName": made["id"]}
    for heir, image in (("heir", "advocate-0-12-27"), ("unnamed", made["id"])):
        api.create(heir, imageName=image)
        assert api.sh(heir, "cat /proof") == "in the image\n"
    taken = api.call("POST", "/containers/heir-0/commit", {"newImageName": "busybox:test"})
    assert (taken.status_code, taken.json()["code"]) == (409, 2025)


def test_execute(api: Server) -> None:
    api.create("dilute")
    answer = api.data("POST", "/containers/dilute-0/execute", {"cmd": ["pwd"], "workDir": "/tmp"})
    assert answer == {"stdout": "/tmp\n", "stderr": "", "exitCode": 0, "truncated": False}
    answer = api.data("POST", "/containers/dilute-0/execute", {"cmd": ["sh", "-c", "echo oops >&2; exit 3"]})
    assert answer == {"stdout": "", "stderr": "oops\n", "exitCode": 3, "truncated": False}


def test_gpu_status_has_the_contracts_shape(api: Server) -> None:
    status = api.data("GET", "/gpus")
    assert list(status) == ["gpuStatus"] and len(status["gpuStatus"]) == 8
    assert set(status["gpuStatus"].values()) == {0}
    api.create("foo", gpuCount=8)
    assert set(api.data("GET", "/gpus")["gpuStatus"].values()) == {1}
    detail = api.data("GET", "/gpus?detail=true")["gpus"]
    assert {gpu["holder"]["name"] for gpu in detail} == {"foo-0"} and all(gpu["healthy"] for gpu in detail)
    one = api.data("GET", f"/gpus/{detail[3]['uuid']}")
    assert one["index"] == 3 and one["memoryTotal"] > 1 << 30
    assert api.call("GET", "/gpus/GPU-none").json()["code"] == 2013


def test_lists_filter_and_page(api: Server) -> None:
    for name in ("alpha", "beta", "gamma"):
        api.create(name, gpuCount=1)
    api.data("PATCH", "/containers/beta-0/stop")
    names = [c["name"] for c in api.data("GET", "/containers")["containers"]]
    assert names == ["alpha-0", "beta-0", "gamma-0"]
    assert [c["name"] for c in api.data("GET", "/containers?state=stopped")["containers"]] == ["beta-0"]
    assert [c["name"] for c in api.data("GET", "/containers?name=amm")["containers"]] == ["gamma-0"]
    (holder,) = api.data("GET", "/containers?name=alpha")["containers"]
    assert [c["name"] for c in api.data("GET", f"/containers?gpu={holder['gpus'][0]}")["containers"]] == ["alpha-0"]
    first = api.data("GET", "/containers?limit=2")
    assert len(first["containers"]) == 2
    rest = api.data("GET", f"/containers?limit=2&cursor={first['next']}")
    assert [c["name"] for c in rest["containers"]] == ["gamma-0"] and rest["next"] is None


def test_logs_and_probes(api: Server) -> None:
    api.create("talker", cmd=["sh", "-c", "echo one; echo two; echo three; sleep 1000"])
    wait_for(lambda: "three" in api.data("GET", "/containers/talker-0/logs")["logs"])
    assert api.data("GET", "/containers/talker-0/logs?tail=2")["logs"].split() == ["two", "three"]
    assert api.data("GET", "/healthz") is None and api.data("GET", "/readyz") is None
