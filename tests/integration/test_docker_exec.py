"""Commands in real containers: their output, their end, their deadline."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from app.adapters.docker.exec import execute
from app.errors import CommandRefused, ContainerNotRunning
from app.model.container import ContainerPlan, ExecResult, Labels, Spec
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE

CAP = 1 << 20
Execute = Callable[..., ExecResult]


@pytest.fixture
def running(engine: DockerEngine) -> str:
    plan = ContainerPlan("foo-0", Labels(NODE, "foo", 0, "op-1"), engine.image(IMAGE).id, Spec(IMAGE))
    identity = engine.create(plan)
    engine.start(identity)
    return identity


@pytest.fixture
def sh(engine: DockerEngine, running: str) -> Execute:
    """Runs a shell script in a container."""
    return lambda script, timeout=10.0, cap=CAP: engine.execute(running, ["sh", "-c", script], None, timeout, cap)


def alive(dockerd: Dockerd, container: str) -> str:
    return dockerd.docker("top", container, "-eo", "pid,args")


def ends(dockerd: Dockerd, container: str, command: str) -> bool:
    """Whether no process of the container runs `command` any more, on a busy machine after a while."""
    deadline = time.monotonic() + 20
    while command in alive(dockerd, container):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_streams_are_apart_and_the_exit_code_is_told(sh: Execute) -> None:
    assert sh("echo out; echo err >&2; exit 3") == ExecResult("out\n", "err\n", 3, truncated=False)


@pytest.mark.parametrize("code", [126, 127, 137])
def test_a_commands_own_exit_code_is_no_refusal(sh: Execute, code: int) -> None:
    assert sh(f"exit {code}").exit_code == code
    assert sh(f"echo exec failed >&2; exit {code}").stderr == "exec failed\n"


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        (["nosuch"], 'executed: exec: "nosuch": executable file not found in'),
        (["/nosuch"], "no such file or directory"),
        (["/etc/passwd"], "permission denied"),
        (["/tmp"], "permission denied"),
        ([""], "executed: exec"),
        ([], "No exec command"),
    ],
)
def test_a_command_that_is_none(engine: DockerEngine, running: str, cmd: list[str], reason: str) -> None:
    with pytest.raises(CommandRefused, match=reason):
        engine.execute(running, cmd, None, 10, CAP)


def test_the_work_directory(engine: DockerEngine, running: str) -> None:
    assert engine.execute(running, ["pwd"], "/etc", 10, CAP).stdout == "/etc\n"
    for absent in ("/nosuch", "relative"):
        with pytest.raises(CommandRefused):
            engine.execute(running, ["pwd"], absent, 10, CAP)


def test_a_paused_and_a_stopped_container_execute_nothing(engine: DockerEngine, running: str, dockerd: Dockerd) -> None:
    dockerd.docker("pause", running)
    with pytest.raises(ContainerNotRunning, match="paused"):
        engine.execute(running, ["pwd"], None, 10, CAP)
    engine.stop(running)
    with pytest.raises(ContainerNotRunning, match="not running"):
        engine.execute(running, ["pwd"], None, 10, CAP)


def test_output_beyond_the_cap_is_dropped_and_the_command_goes_on(sh: Execute) -> None:
    result = sh("yes | head -c 3000; echo done >&2", cap=1000)
    assert (result.stdout, result.stderr, result.exit_code, result.truncated) == ("y\n" * 500, "done\n", 0, True)
    assert not sh("yes | head -c 1000", cap=1000).truncated


def test_bytes_that_are_no_text_are_replaced(sh: Execute) -> None:
    assert sh(r"printf 'caf\303\251 \377'").stdout == "café \ufffd"


def test_a_million_lines_arrive_whole(sh: Execute) -> None:
    assert sh("seq 1 100000", cap=1 << 20).stdout.splitlines()[-1] == "100000"


def test_at_the_deadline_the_command_and_its_children_are_killed(sh: Execute, dockerd: Dockerd, running: str) -> None:
    begun = time.monotonic()
    result = sh("echo begun; sleep 1234 & sleep 4321; echo never", timeout=1)
    assert time.monotonic() - begun < 30
    assert (result.stdout, result.exit_code, result.timed_out) == ("begun\n", None, True)
    assert ends(dockerd, running, "sleep")


def test_a_command_that_never_stops_printing_meets_its_deadline(sh: Execute, dockerd: Dockerd, running: str) -> None:
    begun = time.monotonic()
    result = sh("while :; do echo y; sleep 0.01; done", timeout=1, cap=20)
    assert time.monotonic() - begun < 30
    assert (result.stdout, result.truncated, result.timed_out) == ("y\n" * 10, True, True)
    assert ends(dockerd, running, "sleep")


def test_a_command_that_floods_its_output_is_killed_before_its_deadline(
    sh: Execute, dockerd: Dockerd, running: str
) -> None:
    result = sh("yes", timeout=60, cap=100)
    assert result == ExecResult("y\n" * 50, "", None, truncated=True, timed_out=False)
    assert ends(dockerd, running, "yes")


class LatePid(APIClient):
    """A Docker that does not know the pid of a command yet when it is asked first, as on a busy host."""

    asked = 0

    def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        self.asked += 1
        state: dict[str, Any] = super().exec_inspect(exec_id)
        return state if self.asked > 1 else {**state, "Pid": 0}


def test_a_flood_that_comes_before_docker_knows_the_pid_is_killed(dockerd: Dockerd, running: str) -> None:
    with closing(LatePid(dockerd.url)) as client:
        assert execute(client, running, ["yes"], None, 60, 100).truncated
        assert client.asked > 1
    assert ends(dockerd, running, "yes")


def test_a_command_that_closes_its_output_meets_its_deadline_too(sh: Execute, dockerd: Dockerd, running: str) -> None:
    assert sh("exec sleep 1234 >&- 2>&-", timeout=1).timed_out
    assert ends(dockerd, running, "sleep")


def test_what_a_command_leaves_behind_lives_on(sh: Execute, dockerd: Dockerd, running: str) -> None:
    assert sh("sleep 1234 > /dev/null 2>&1 & echo started", timeout=5).stdout == "started\n"
    assert "sleep 1234" in alive(dockerd, running)


def test_other_commands_are_left_alone(sh: Execute, dockerd: Dockerd, running: str) -> None:
    dockerd.docker("exec", "-d", running, "sleep", "1111")
    assert sh("sleep 2222", timeout=0.5).timed_out
    assert ends(dockerd, running, "sleep 2222")
    assert "sleep 1111" in alive(dockerd, running)


def test_a_container_that_dies_meanwhile_ends_the_command(sh: Execute, dockerd: Dockerd, running: str) -> None:
    pid = dockerd.docker("inspect", "-f", "{{.State.Pid}}", running)
    assert Path(f"/proc/{pid}").exists()
    dockerd.docker("exec", "-d", running, "sh", "-c", "sleep 1; kill -9 -1")
    result = sh("sleep 1234", timeout=20)
    assert result.timed_out is False
    assert result.exit_code == 137
