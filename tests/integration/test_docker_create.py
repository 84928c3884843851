"""What `docker inspect` shows of the containers that the engine adapter makes."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import ContainerExists, InvalidRequest, PortTaken, StartFailed, StartRefused
from app.model.container import Bind, ContainerPlan, Labels, PortMapping, Spec
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE, VOLUME_IMAGE

GPUS = ("GPU-04adce59-e7fc-19ed-6800-bc09e5f8fa31", "GPU-281d9730-5a26-7c56-12fb-3a3d5a24ab68")
VOID = "NVIDIA_VISIBLE_DEVICES=void"


def plan(engine: DockerEngine, family: str = "foo", gpus: tuple[str, ...] = (), **spec: Any) -> ContainerPlan:
    image = engine.image(spec.pop("image", IMAGE))
    return ContainerPlan(f"{family}-0", Labels(NODE, family, 0, "op-1"), image.id, replace(Spec(IMAGE), **spec), gpus)


def inspect(dockerd: Dockerd, ref: str) -> dict[str, Any]:
    return dict(json.loads(dockerd.docker("inspect", ref))[0])


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def broken_hook(dockerd: Dockerd) -> Iterator[None]:
    hook = dockerd.root / "hook/nvidia-container-runtime-hook"
    working = hook.read_text()
    hook.write_text("#!/bin/sh\necho 'nvidia-container-cli: device error: unknown device id' >&2\nexit 1\n")
    yield
    hook.write_text(working)


def test_a_port_of_the_container_may_have_several_of_the_host(engine: DockerEngine, dockerd: Dockerd) -> None:
    ports = (PortMapping(45917, 22), PortMapping(45918, 80), PortMapping(45919, 22))
    bindings = inspect(dockerd, engine.create(plan(engine, ports=ports)))["HostConfig"]["PortBindings"]
    found = {port: [binding["HostPort"] for binding in hosts] for port, hosts in bindings.items()}
    assert found == {"22/tcp": ["45917", "45919"], "80/tcp": ["45918"]}


def test_everything_of_the_spec_arrives(engine: DockerEngine, dockerd: Dockerd) -> None:
    binds = (Bind("vol-0", "/root/vol-0"), Bind("/var/tmp", "/root/data"))
    spec = {"binds": binds, "env": ("USER=foo", "A=b=c"), "cmd": ("sleep", "99"), "ports": (PortMapping(45918, 22),)}
    seen = inspect(dockerd, engine.create(plan(engine, "knockGpu", **spec)))
    config, host = seen["Config"], seen["HostConfig"]
    assert (seen["Name"], config["Hostname"], config["Cmd"]) == ("/knockGpu-0", "knockGpu", ["sleep", "99"])
    assert {"USER=foo", "A=b=c", VOID} <= set(config["Env"])
    assert (config["Tty"], config["OpenStdin"]) == (True, True)
    assert host["Binds"] == ["vol-0:/root/vol-0", "/var/tmp:/root/data"]
    assert host["PortBindings"] == {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "45918"}]}
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["Privileged"] is False
    assert config["Labels"] == {
        "gpudock.node": NODE,
        "gpudock.family": "knockGpu",
        "gpudock.version": "0",
        "gpudock.operation": "op-1",
    }


def test_gpus_are_requested_by_uuid_and_the_container_starts(engine: DockerEngine, dockerd: Dockerd) -> None:
    identity = engine.create(plan(engine, gpus=GPUS))
    engine.start(identity)
    seen = inspect(dockerd, identity)
    assert seen["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "Count": 0, "DeviceIDs": [*GPUS], "Capabilities": [["gpu"]], "Options": {}}
    ]
    printed = engine.execute(identity, ["sh", "-c", "tr '\\0' '\\n' < /proc/1/environ"], None, 5, 10_000).stdout
    assert f"NVIDIA_VISIBLE_DEVICES={','.join(GPUS)}" in printed


def test_without_gpus_none_are_requested(engine: DockerEngine, dockerd: Dockerd) -> None:
    seen = inspect(dockerd, engine.create(plan(engine)))
    assert seen["HostConfig"]["DeviceRequests"] is None
    assert VOID in seen["Config"]["Env"]


def test_gpus_can_be_left_to_a_label(engine: DockerEngine, dockerd: Dockerd) -> None:
    quiet = DockerEngine(dockerd.url, NODE, "none", 3)
    seen = inspect(dockerd, quiet.create(plan(engine, gpus=GPUS)))
    assert seen["HostConfig"]["DeviceRequests"] is None
    assert seen["Config"]["Labels"]["gpudock.gpus"] == ",".join(GPUS)
    assert VOID in seen["Config"]["Env"]


def test_a_docker_without_cdi_cannot_start_with_gpus_and_the_host_is_at_fault(
    engine: DockerEngine, dockerd: Dockerd
) -> None:
    identity = DockerEngine(dockerd.url, NODE, "cdi", 3).create(plan(engine, gpus=GPUS))
    requests = inspect(dockerd, identity)["HostConfig"]["DeviceRequests"]
    assert requests[0]["Driver"] == "cdi"
    assert requests[0]["DeviceIDs"] == [f"nvidia.com/gpu={gpu}" for gpu in GPUS]
    with pytest.raises(StartFailed, match="GPU runtime") as caught:
        engine.start(identity)
    assert "could not select device driver" in str(caught.value.__cause__)


@pytest.mark.parametrize("family", ["under_score", "a" * 64, "dot.", "trailing_"])
def test_a_family_that_is_no_hostname_leaves_the_hostname_to_docker(
    engine: DockerEngine, dockerd: Dockerd, family: str
) -> None:
    identity = engine.create(plan(engine, family))
    assert inspect(dockerd, identity)["Config"]["Hostname"] == identity[:12]
    engine.start(identity)


def test_files_in_a_carried_anonymous_volume_are_there(engine: DockerEngine) -> None:
    first = plan(engine, image=VOLUME_IMAGE)
    identity = engine.create(first)
    engine.start(identity)
    assert engine.execute(identity, ["cat", "/data/shipped"], None, 5, 100).stdout == "with the image\n"
    engine.execute(identity, ["sh", "-c", "echo mine > /data/mine; rm /data/shipped"], None, 5, 100)
    seen = engine.inspect(identity)
    assert seen is not None
    engine.remove(identity)
    second = engine.create(replace(first, name="foo-1", anonymous=seen.anonymous))
    engine.start(second)
    assert engine.execute(second, ["sh", "-c", "ls /data; cat /data/mine"], None, 5, 100).stdout == "mine\nmine\n"


def test_the_upper_directory_holds_what_the_container_writes(engine: DockerEngine) -> None:
    identity = engine.create(plan(engine))
    engine.start(identity)
    engine.execute(identity, ["sh", "-c", "echo hello > /root/file"], None, 5, 100)
    assert Path(engine.locate(identity), "root/file").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"binds": (Bind("/var/tmp", "relative"),)}, "must be absolute"),
        ({"binds": (Bind("/var/tmp", "/"),)}, "destination can't be '/'"),
        ({"binds": (Bind("/var/tmp", "/a"), Bind("/srv", "/a"))}, "Duplicate mount point"),
        ({"binds": (Bind("a b", "/a"),)}, "invalid characters for a local volume name"),
        ({"ports": (PortMapping(99999, 80),)}, "invalid port"),
    ],
)
def test_a_spec_that_docker_does_not_accept(engine: DockerEngine, spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        engine.create(plan(engine, **spec))
    assert engine.list() == []


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"cmd": ("nosuch",)}, 'as described: exec: "nosuch": executable file not found in'),
        ({"cmd": ("webhook",)}, "executable file not found"),
        ({"cmd": ("/nosuch",)}, "no such file or directory"),
        ({"cmd": ("/etc/passwd",)}, "permission denied"),
        ({"binds": (Bind("/var/tmp", "/etc/passwd"),)}, "not a directory"),
    ],
)
def test_a_spec_that_cannot_be_started(engine: DockerEngine, spec: dict[str, Any], reason: str) -> None:
    identity = engine.create(plan(engine, **spec))
    with pytest.raises(StartRefused, match=reason):
        engine.start(identity)


def test_a_volume_that_cannot_be_mounted(engine: DockerEngine, dockerd: Dockerd) -> None:
    options = [f"--opt={option}" for option in ("type=none", "o=bind", "device=/nosuch/directory")]
    dockerd.docker("volume", "create", *options, "lost-0")
    identity = engine.create(plan(engine, binds=(Bind("lost-0", "/v"),)))
    with pytest.raises(StartRefused, match="failed to mount local volume"):
        engine.start(identity)


def test_a_port_of_another_program(engine: DockerEngine, listener: int) -> None:
    identity = engine.create(plan(engine, ports=(PortMapping(listener, 80),)))
    with pytest.raises(PortTaken) as refused:
        engine.start(identity)
    assert refused.value.data == {"hostPort": listener}


def test_a_failing_hook_is_the_hosts_fault(engine: DockerEngine, broken_hook: None) -> None:
    identity = engine.create(plan(engine, gpus=GPUS))
    with pytest.raises(StartFailed, match="GPU runtime") as caught:
        engine.start(identity)
    assert "hook" in str(caught.value.__cause__)


def test_removing_a_paused_container_and_one_with_a_foreign_operation(engine: DockerEngine, dockerd: Dockerd) -> None:
    identity = engine.create(plan(engine))
    engine.start(identity)
    dockerd.docker("pause", identity)
    other = replace(plan(engine), labels=Labels(NODE, "foo", 0, "op-2"))
    with pytest.raises(ContainerExists):
        engine.create(other)
    engine.remove(identity)
    assert engine.create(other) != identity


def test_the_held_image_stays_when_its_name_goes(engine: DockerEngine, dockerd: Dockerd) -> None:
    identity = engine.create(plan(engine))
    image = engine.commit(identity, "passing:1", "op")
    engine.hold_image(image)
    dockerd.docker("rmi", "passing:1")
    dockerd.docker("image", "prune", "--force")
    assert engine.image(image).id == image
    kept = engine.create(replace(plan(engine, "bar"), image_id=image))
    engine.release_image(image)
    assert engine.image(image).id == image, "a container still needs it"
    engine.remove(kept)
    engine.release_image(image)
    assert image not in dockerd.docker("images", "-q", "--no-trunc", "gpudock-held").split()


def test_a_digest_is_no_name_for_a_new_image(engine: DockerEngine) -> None:
    identity = engine.create(plan(engine))
    with pytest.raises(InvalidRequest):
        engine.commit(identity, f"image@sha256:{'0' * 64}", "op")


def test_logs_are_the_last_lines_and_at_most_a_mebibyte(engine: DockerEngine) -> None:
    script = "yes $(printf %0500d 7) | head -n 3000; echo last; printf 'caf\\303\\251 \\377.\\n'; sleep 99"
    identity = engine.create(plan(engine, cmd=("sh", "-c", script)))
    engine.start(identity)
    while not (last := engine.logs(identity, 2)).startswith("last"):
        time.sleep(0.05)
    assert last == "last\r\ncafé \ufffd.\r\n"
    everything = engine.logs(identity, 10_000)
    assert everything.endswith(last)
    assert len(everything.encode()) == 1 << 20
