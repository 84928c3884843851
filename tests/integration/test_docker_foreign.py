"""What containers that somebody made with `docker run` would be as gpudock's, and what that would lose."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.model.adoption import ALL_GPUS, UnmanagedContainer
from app.model.container import Bind, ContainerPlan, Labels, PortMapping, Spec
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE, VOLUME_IMAGE


@pytest.fixture(autouse=True)
def volumes(dockerd: Dockerd, engine: DockerEngine) -> Iterator[None]:
    yield
    dockerd.remove_containers()
    if left := dockerd.docker("volume", "ls", "-q").split():
        dockerd.docker("volume", "rm", *left)


def make(dockerd: Dockerd, *options: str, image: str = IMAGE, cmd: tuple[str, ...] = ()) -> str:
    """The id of a container called `mine`, made and not started."""
    return dockerd.docker("create", "--name", "mine", *options, image, *cmd)


def described(engine: DockerEngine, name: str = "mine") -> UnmanagedContainer:
    found = engine.describe(name)
    assert found is not None
    return found


def lost(engine: DockerEngine, name: str = "mine") -> list[str]:
    """What a container of ours would lose that is made of the description."""
    found = described(engine, name)
    labels = Labels(NODE, "foo", 0, f"op-{secrets.token_hex(4)}")
    spec = replace(found.spec, ports=tuple(PortMapping(p.host or 45001, p.container) for p in found.spec.ports))
    plan = ContainerPlan("foo-0", labels, found.container.image_id, spec, (), found.container.anonymous)
    new = engine.create(plan)
    try:
        return list(engine.differences(found.container.id, new))
    finally:
        engine.remove(new)


def test_what_a_spec_can_say_is_described_and_nothing_is_lost(dockerd: Dockerd, engine: DockerEngine) -> None:
    dockerd.docker("volume", "create", "named")
    dockerd.docker("volume", "create", "other")
    options = ["-it", "-e", "A=b c", "-p", "45000:80", "-p", "0.0.0.0::81", "-v", "named:/named", "-v", "/tmp:/host"]
    identity = make(
        dockerd, *options, "--mount", "type=volume,src=other,dst=/other", "-v", "/scratch", cmd=("sh", "-i")
    )
    found = described(engine)
    assert (found.container.id, found.container.labels) == (identity, None)
    spec = found.spec
    assert (spec.image, spec.env, spec.cmd) == (IMAGE, ("A=b c",), ("sh", "-i"))
    assert set(spec.binds) == {Bind("named", "/named"), Bind("/tmp", "/host"), Bind("other", "/other")}
    assert spec.ports == (PortMapping(45000, 80), PortMapping(0, 81))
    assert found.container.anonymous.keys() == {"/scratch"}
    assert lost(engine) == []


def test_a_plain_one_and_what_its_image_gives_it(dockerd: Dockerd, engine: DockerEngine) -> None:
    changes = ("ENV B=c", "ENV NVIDIA_VISIBLE_DEVICES=all", "LABEL of=image", "WORKDIR /tmp", "EXPOSE 99", "USER user")
    dockerd.docker("create", "--name", "base", VOLUME_IMAGE)
    dockerd.docker("commit", *(f"--change={change}" for change in changes), "base", "rich:1")
    make(dockerd, image="rich:1")
    found = described(engine)
    assert (found.spec.env, found.spec.cmd, found.container.anonymous.keys()) == ((), (), {"/data"})
    assert lost(engine) == []
    dockerd.docker("rm", "mine", "base")
    dockerd.docker("rmi", "rich:1")


def test_a_port_that_docker_chose_is_kept_while_it_runs(dockerd: Dockerd, engine: DockerEngine) -> None:
    make(dockerd, "-it", "-p", "80")
    assert described(engine).spec.ports == (PortMapping(0, 80),)
    dockerd.docker("start", "mine")
    (port,) = described(engine).spec.ports
    assert dockerd.docker("port", "mine", "80").splitlines()[0] == f"0.0.0.0:{port.host}"


@pytest.mark.parametrize(
    ("request_", "names", "count"),
    [("2", (), 2), ("all", (), ALL_GPUS), ('"device=0,GPU-1"', ("0", "GPU-1"), 2)],
)
def test_gpus_by_number_by_name_and_all(
    dockerd: Dockerd, engine: DockerEngine, request_: str, names: tuple[str, ...], count: int
) -> None:
    make(dockerd, "--gpus", request_)
    found = described(engine)
    assert (found.gpus, found.gpu_count) == (names, count) and lost(engine) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--privileged", "--privileged"),
        ("--network host", "--network"),
        ("--network none", "--network"),
        ("--cap-add SYS_ADMIN", "--cap-add"),
        ("--cap-drop CHOWN", "--cap-drop"),
        ("--device /dev/null", "--device"),
        ("--tmpfs /t", "--tmpfs"),
        ("--mount type=tmpfs,dst=/t", "the mount of /t"),
        ("-v /tmp:/t:ro", "the mount of /t as it is (bind, read-only)"),
        ("-v named:/t:ro", "the mount of /t as it is (volume, read-only)"),
        ("-v /tmp:/t:rshared", "the mount of /t"),
        ("--mount type=volume,src=named,dst=/t,volume-nocopy", "options of --mount /t"),
        ("-p 45000:80/udp", "--publish 80/udp"),
        ("-p 127.0.0.1:45000:80", "--publish 80/tcp at an address of its own"),
        ("-P", "--publish-all"),
        ("--expose 99", "--expose"),
        ("--link other", "--link"),
        ("--entrypoint /bin/busybox", "--entrypoint"),
        ("--user 1000", "--user"),
        ("--workdir /tmp", "--workdir"),
        ("--hostname elsewhere", "--hostname"),
        ("--label color=blue", "--label color"),
        ("--restart always", "--restart"),
        ("--rm", "--rm"),
        ("--init", "--init"),
        ("--memory 100m", "--memory"),
        ("--cpus 1", "--cpus"),
        ("--shm-size 1g", "--shm-size"),
        ("--ulimit nofile=100", "--ulimit"),
        ("--ipc host", "--ipc"),
        ("--pid host", "--pid"),
        ("--read-only", "--read-only"),
        ("--sysctl net.core.somaxconn=99", "--sysctl"),
        ("--add-host a:10.0.0.1", "--add-host"),
        ("--dns 10.0.0.1", "--dns"),
        ("--log-opt max-size=1m", "--log-driver or --log-opt"),
        ("--health-cmd true", "--health-cmd"),
        ("--stop-signal SIGUSR1", "--stop-signal"),
        ("--stop-timeout 3", "--stop-timeout"),
        ("--oom-score-adj 500", "--oom-score-adj"),
        ("--volumes-from other", "--volumes-from"),
        ("--gpus all,capabilities=utility", "--gpus with capabilities or options"),
    ],
)
def test_everything_else_is_named(dockerd: Dockerd, engine: DockerEngine, options: str, named: str) -> None:
    dockerd.docker("volume", "create", "named")
    dockerd.docker("run", "-dit", "--name", "other", IMAGE)
    make(dockerd, *options.split())
    found = lost(engine)
    assert any(setting.startswith(named) for setting in found), found
    assert len(found) == len(set(found))


def test_gpus_through_the_runtime_s_own_variable_are_named(dockerd: Dockerd, engine: DockerEngine) -> None:
    """Seen where NVIDIA's runtime is Docker's default, so here in what Docker would say."""
    from app.adapters.docker.unmanaged import differences

    make(dockerd, "-e", "NVIDIA_VISIBLE_DEVICES=0")
    raw = json.loads(dockerd.docker("inspect", "mine"))[0]
    bare = {**raw, "Config": {**raw["Config"], "Env": ["NVIDIA_VISIBLE_DEVICES=void"]}}
    assert differences(raw, bare) == []
    for each in (raw, bare):
        each["HostConfig"] = {**each["HostConfig"], "Runtime": "nvidia"}
    assert differences(raw, bare) == ["GPUs by NVIDIA_VISIBLE_DEVICES instead of --gpus"]


def test_values_of_the_environment_are_not_told(dockerd: Dockerd) -> None:
    from app.adapters.docker.unmanaged import differences

    make(dockerd, "-e", "PASSWORD=secret")
    raw = json.loads(dockerd.docker("inspect", "mine"))[0]
    assert differences(raw, {**raw, "Config": {**raw["Config"], "Env": []}}) == ["--env PASSWORD"]


@pytest.mark.parametrize("name", ["nosuch", "../images/json", "a b", ""])
def test_what_is_not_there(engine: DockerEngine, name: str) -> None:
    assert engine.describe(name) is None and engine.volume(name) is None


def test_volumes_tell_how_they_were_made(dockerd: Dockerd, engine: DockerEngine) -> None:
    dockerd.docker("volume", "create", "named")
    dockerd.docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "ram")
    named, ram = engine.volume("named"), engine.volume("ram")
    assert named and (named.driver, named.options, named.managed) == ("local", {}, False)
    assert ram and ram.options == {"type": "tmpfs", "device": "tmpfs"}
    assert engine.volume_names() == {"named", "ram"}


def test_a_container_of_a_committed_image_is_not_taken_for_ours(dockerd: Dockerd, engine: DockerEngine) -> None:
    labels, base = Labels(NODE, "foo", 0, "op"), engine.image(IMAGE).id
    ours = engine.create(ContainerPlan("foo-0", labels, base, Spec(IMAGE), ("GPU-1",)))
    made = engine.commit(ours, "made:1", "op")
    again = engine.create(ContainerPlan("bar-0", replace(labels, family="bar"), made, Spec("made:1")))
    dockerd.docker("create", "--name", "stranger", "made:1")
    assert {seen.name for seen in engine.list()} == {"foo-0", "bar-0"}
    assert [seen.id for seen in engine.list(family="bar")] == [again]
    engine.remove(ours)
    assert described(engine, "stranger").container.labels is None and lost(engine, "stranger") == []
    dockerd.remove_containers()
    dockerd.docker("rmi", "made:1")
