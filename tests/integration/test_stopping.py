"""Stopping real containers: how long it takes, and who gets to save what."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.docker.processes import Process
from app.adapters.docker.stop import signal_number
from app.model.container import ContainerPlan, Labels, Spec
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE
from tests.support.volumes import remove_everything, wait_for

# Seconds. Who is waited for until the end takes TIMEOUT, everybody else less than QUICK, however slow the machine is.
TIMEOUT, QUICK = 10, 8
SAVING = "trap 'sleep 1; echo saved > /root/{name}; exit' TERM; while :; do sleep 0.05; done"
IGNORING = "trap '' TERM; while :; do sleep 0.05; done"
STUBBORN = "trap 'echo heard >> /root/heard' TERM; while :; do sleep 0.05; done"
Start = Callable[..., str]


@pytest.fixture
def engine(dockerd: Dockerd, image: str) -> Iterator[DockerEngine]:
    """The real adapter, patient enough to tell who is waited for from who is not."""
    yield DockerEngine(dockerd.url, node=NODE, gpu_request="nvidia", stop_timeout=TIMEOUT)
    remove_everything(dockerd)


def listening(dockerd: Dockerd, ref: str) -> int:
    """How many processes of the container catch or ignore SIGTERM or SIGUSR1."""
    wanted = 1 << signal.SIGTERM - 1 | 1 << signal.SIGUSR1 - 1
    pids = dockerd.docker("top", ref, "-eo", "pid").split()[1:]
    found = [Path(f"/proc/{pid}/status").read_text() for pid in pids if Path(f"/proc/{pid}").exists()]
    return sum(
        any(int(mask, 16) & wanted for mask in re.findall(r"^Sig(?:Cgt|Ign):\t(\w+)", each, re.M)) for each in found
    )


def wait_for_traps(dockerd: Dockerd, ref: str, *scripts: str) -> None:
    """Return once as many processes as there are scripts with a trap have set theirs."""
    wait_for(lambda: listening(dockerd, ref) >= sum("trap " in script for script in scripts))


@pytest.fixture
def start(engine: DockerEngine, dockerd: Dockerd) -> Start:
    """Starts a container, with jobs in it that were begun by exec, and returns its id once they run."""

    def begin(*cmd: str, jobs: tuple[str, ...] = (), image: str = IMAGE) -> str:
        spec = replace(Spec(image), cmd=cmd)
        plan = ContainerPlan("foo-0", Labels(NODE, "foo", 0, "op-1"), engine.image(image).id, spec)
        identity = engine.create(plan)
        engine.start(identity)
        for job in jobs:
            dockerd.docker("exec", "-d", identity, "sh", "-c", job)
        wait_for_traps(dockerd, identity, *cmd, *jobs)
        return identity

    return begin


def stop(engine: DockerEngine, ref: str) -> float:
    """The seconds that the stop takes; afterwards the container is stopped."""
    begun = time.monotonic()
    engine.stop(ref)
    seconds = time.monotonic() - begun
    seen = engine.inspect(ref)
    assert seen is not None
    assert seen.state == "exited"
    return seconds


def written(engine: DockerEngine, ref: str, name: str) -> str | None:
    """What the container has in /root/`name`, None if there is no such file."""
    seen = engine.inspect(ref)
    assert seen is not None
    file = Path(engine.locate(seen.id), "root", name)
    return file.read_text() if file.exists() else None


def test_a_shell_does_not_hold_up_its_stop(engine: DockerEngine, start: Start) -> None:
    assert stop(engine, start("sh")) < QUICK


def test_a_shell_that_waits_for_a_child_does_not_either(engine: DockerEngine, start: Start) -> None:
    assert stop(engine, start("sh", "-c", "sleep 1000; true")) < QUICK


def test_an_interactive_shell_begun_by_exec_does_not_either(
    engine: DockerEngine, start: Start, dockerd: Dockerd
) -> None:
    identity = start("sh")
    dockerd.docker("exec", "-dit", identity, "sh")
    assert stop(engine, identity) < QUICK


def test_a_job_begun_by_exec_gets_to_save_its_work(engine: DockerEngine, start: Start) -> None:
    identity = start("sh", jobs=(SAVING.format(name="one"), SAVING.format(name="two")))
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "one") == "saved\n"
    assert written(engine, identity, "two") == "saved\n"


def test_it_gets_to_even_if_process_1_would_end_at_once(engine: DockerEngine, start: Start) -> None:
    quick = "trap 'exit' TERM; while :; do sleep 0.05; done"
    identity = start("sh", "-c", quick, jobs=(SAVING.format(name="job"),))
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "job") == "saved\n"


def test_process_1_and_its_children_get_to_save_their_work(engine: DockerEngine, start: Start) -> None:
    child = SAVING.format(name="child")
    identity = start("sh", "-c", f'sh -c "{child}" & trap "wait; echo saved > /root/parent; exit" TERM; wait; wait')
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "child") == "saved\n"
    assert written(engine, identity, "parent") == "saved\n"


def test_a_process_1_that_handles_the_signal_and_stays_is_killed_at_the_deadline(
    engine: DockerEngine, start: Start
) -> None:
    identity = start("sh", "-c", STUBBORN)
    assert TIMEOUT <= stop(engine, identity) < TIMEOUT + QUICK
    assert written(engine, identity, "heard") == "heard\n"


def test_those_that_ignore_the_signal_are_not_waited_for(engine: DockerEngine, start: Start) -> None:
    assert stop(engine, start("sh", "-c", IGNORING, jobs=(IGNORING,))) < QUICK


def test_a_suspended_job_goes_on_to_save_its_work(engine: DockerEngine, start: Start) -> None:
    identity = start("sh", jobs=(f"echo $$ > /tmp/pid; {SAVING.format(name='job')}",))
    engine.execute(identity, ["sh", "-c", "kill -STOP $(cat /tmp/pid)"], None, 5, 100)
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "job") == "saved\n"


def test_a_paused_container_gets_to_save_its_work(engine: DockerEngine, start: Start, dockerd: Dockerd) -> None:
    identity = start("sh", jobs=(SAVING.format(name="job"),))
    dockerd.docker("pause", identity)
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "job") == "saved\n"


def test_what_is_forked_during_the_stop_is_told_as_well(engine: DockerEngine, start: Start) -> None:
    forked = SAVING.format(name="forked").replace("'", "\\'").replace("\\'", '"')
    identity = start(
        "sh",
        jobs=(
            f"trap 'setsid sh /tmp/late & exit' TERM; cat > /tmp/late <<'E'\n{forked}\nE\nwhile :; do sleep 0.05; done",
        ),
    )
    stop(engine, identity)
    assert written(engine, identity, "forked") == "saved\n"


def test_the_containers_own_stop_signal_is_the_one_that_is_sent(
    engine: DockerEngine, dockerd: Dockerd, image: str
) -> None:
    saving = SAVING.format(name="one").replace("TERM", "USR1")
    dockerd.docker("run", "-dit", "--name", "usr1", "--stop-signal", "SIGUSR1", image, "sh", "-c", saving)
    wait_for_traps(dockerd, "usr1", saving)
    assert stop(engine, "usr1") < QUICK
    assert written(engine, "usr1", "one") == "saved\n"


def test_dockers_init_passes_the_signal_on(engine: DockerEngine, dockerd: Dockerd, image: str) -> None:
    dockerd.docker("run", "-dit", "--name", "init", "--init", image, "sh", "-c", SAVING.format(name="one"))
    wait_for_traps(dockerd, "init", SAVING)
    assert stop(engine, "init") < QUICK
    assert written(engine, "init", "one") == "saved\n"


def test_process_1_has_a_moment_when_a_job_takes_all_the_time(engine: DockerEngine, start: Start) -> None:
    quick = SAVING.format(name="parent").replace("sleep 1; ", "")
    identity = start("sh", "-c", quick, jobs=(STUBBORN,))
    assert TIMEOUT <= stop(engine, identity) < TIMEOUT + QUICK
    assert written(engine, identity, "heard") == "heard\n"
    assert written(engine, identity, "parent") == "saved\n"


def test_a_stopped_and_a_never_started_container_are_as_they_were(engine: DockerEngine, start: Start) -> None:
    identity = start("sh")
    stop(engine, identity)
    assert stop(engine, identity) < QUICK


def test_processes_of_another_host_are_left_to_docker(
    engine: DockerEngine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = start("sh", "-c", SAVING.format(name="one"))
    monkeypatch.setattr("app.adapters.docker.processes.PROC", Path("/nonexistent"))
    assert stop(engine, identity) < QUICK
    assert written(engine, identity, "one") == "saved\n"


@pytest.mark.parametrize(
    ("written_as", "number"),
    [
        (None, signal.SIGTERM),
        ("", signal.SIGTERM),
        ("SIGTERM", signal.SIGTERM),
        ("QUIT", signal.SIGQUIT),
        ("sigint", signal.SIGINT),
        ("9", signal.SIGKILL),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMIN", signal.SIGRTMIN),
        ("nonsense", signal.SIGTERM),
        ("999", signal.SIGTERM),
        ("RTMIN+99", signal.SIGTERM),
    ],
)
def test_stop_signals_as_images_write_them(written_as: str | None, number: int) -> None:
    assert signal_number(written_as) == number


@pytest.mark.parametrize(
    ("in_container", "ignored", "blocked", "caught", "sleeps_in", "reacts"),
    [
        ("7", False, False, False, "do_wait", True),
        ("7", True, False, False, "do_wait", False),
        ("1", False, False, False, "do_wait", False),
        ("1", False, False, True, "do_wait", True),
        ("1", False, True, False, "ep_poll", True),
        ("1", False, False, False, "do_sigtimedwait.isra.0", True),
        ("1", True, False, False, "do_wait", False),
    ],
)
def test_who_can_react(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_container: str,
    ignored: bool,
    blocked: bool,
    caught: bool,
    sleeps_in: str,
    reacts: bool,
) -> None:
    mine = tmp_path / str(os.getpid())
    mine.mkdir()
    masks = {"SigIgn": ignored, "SigBlk": blocked, "SigCgt": caught}
    lines = [f"{name}:\t{1 << signal.SIGTERM - 1 if held else 0:016x}" for name, held in masks.items()]
    (mine / "status").write_text("\n".join([*lines, "PPid:\t5", f"NSpid:\t99\t{in_container}"]))
    (mine / "stat").write_text("99 (a) b) S 5 99 98 0")
    (mine / "wchan").write_text(sleeps_in)
    (mine / "cgroup").write_text("0::/docker/abc")
    monkeypatch.setattr("app.adapters.docker.processes.PROC", tmp_path)
    process = Process(os.getpid(), "abc")
    assert (process.reacts_to(signal.SIGTERM), process.parent, process.session) == (reacts, 5, 98)
    process.close()
    with pytest.raises(ProcessLookupError):
        Process(os.getpid(), "def")
