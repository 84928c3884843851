"""The NVML adapter against a compiled library: faults, refusals, processes, a driver that goes or hangs."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pynvml
import pytest

from app.adapters.gpus import nvml as adapter
from app.adapters.gpus.nvml import MIG_FAULT, NvmlInventory
from app.errors import Unavailable
from app.model.gpu import Gpu, GpuProcess
from tests.support.dockerd import Dockerd

ROOT = Path(__file__).parents[2]
CONTAINER = "c0ffee" * 10 + "beef"


@pytest.fixture
def inventory(nvml) -> NvmlInventory:
    return NvmlInventory()


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Ages and pauses of a tenth of a second instead of a whole one."""
    monkeypatch.setattr(adapter, "UUIDS_AGE", 0.1)
    monkeypatch.setattr(adapter, "RETRY_AFTER", 0.1)


def test_a_lost_gpu_keeps_its_uuid_and_does_not_spoil_the_others(nvml, inventory):
    before = inventory.gpus()
    nvml.lose(1)
    after = inventory.gpus()
    assert after[1] == Gpu(before[1].uuid, 1, fault="the GPU does not answer: GPU is lost")
    assert (after[0], *after[2:]) == (before[0], *before[2:])


def test_the_uuids_go_on_to_name_a_lost_gpu(nvml, inventory, impatient):
    before = inventory.uuids()
    nvml.lose(3)
    time.sleep(0.15)
    assert inventory.uuids() == before


def test_a_gpu_that_was_lost_before_this_process_ever_saw_it_is_left_out(nvml, inventory):
    nvml.lose(0)
    assert [gpu.index for gpu in inventory.gpus()] == [1, 2, 3]
    assert inventory.uuids() == tuple(nvml.uuid(i) for i in (1, 2, 3))


def test_a_gpu_that_comes_back_is_healthy_again(nvml, inventory):
    inventory.gpus()
    nvml.lose(2)
    assert inventory.gpus()[2].fault
    nvml.reset()
    assert inventory.gpus()[2].fault is None


def test_a_uuid_remembered_for_an_index_is_not_given_twice_when_indexes_move(nvml, inventory):
    inventory.gpus()
    nvml.remove(0)
    nvml.lose(3)
    assert [(gpu.uuid, gpu.fault) for gpu in inventory.gpus()] == [(nvml.uuid(1), None), (nvml.uuid(2), None)]


@pytest.mark.parametrize("reading", ["utilisation", "temperature", "power"])
def test_a_refused_reading_is_none_and_the_others_stay(nvml, inventory, reading):
    whole = inventory.gpus()[0]
    nvml.refuse(0, reading)
    gpu = inventory.gpus()[0]
    assert getattr(gpu, reading) is None
    assert getattr(whole, reading) is not None
    assert gpu.fault is None
    changed = {field for field in vars(gpu) if getattr(gpu, field) != getattr(whole, field)}
    assert changed == {reading}


def test_refused_memory_name_mig_mode_and_processes_are_no_fault(nvml, inventory):
    nvml.process(0, os.getpid(), 100)
    for reading in ("memory", "name", "mig", "processes"):
        nvml.refuse(0, reading)
    gpu = inventory.gpus()[0]
    assert (gpu.memory_total, gpu.memory_used, gpu.model, gpu.processes, gpu.fault) == (None, None, None, (), None)


def test_readings_are_in_bytes_percent_degrees_and_watts(nvml, inventory):
    nvml.process(0, os.getpid(), 1000)
    gpu = inventory.gpus()[0]
    assert (gpu.memory_total, gpu.memory_used) == (40 << 30, 1000 << 20)
    assert (gpu.utilisation, gpu.temperature, gpu.power) == (17, 41, 61.5)


def test_a_gpu_in_mig_mode_is_shown_as_not_allocatable(nvml, inventory):
    nvml.mig(1)
    assert [gpu.fault for gpu in inventory.gpus()] == [None, MIG_FAULT, None, None]


def test_a_process_outside_containers_has_no_container(nvml, inventory):
    nvml.process(2, os.getpid(), 300)
    assert [gpu.processes for gpu in inventory.gpus()] == [(), (), (GpuProcess(os.getpid(), 300 << 20, None),), ()]


def test_memory_that_nvml_does_not_tell_is_none(nvml, inventory):
    nvml.process(0, os.getpid(), None)
    assert inventory.gpus()[0].processes == (GpuProcess(os.getpid(), None, None),)


def test_compute_and_graphics_processes_are_found_and_one_that_is_both_counts_once(nvml, inventory):
    nvml.process(0, os.getpid(), 10)
    nvml.process(0, os.getpid(), 10, kind="graphics")
    nvml.process(0, os.getppid(), 20, kind="graphics")
    found = sorted((process.pid, process.memory) for process in inventory.gpus()[0].processes)
    assert found == sorted([(os.getpid(), 10 << 20), (os.getppid(), 20 << 20)])


def test_a_process_that_has_ended_is_not_listed(nvml, inventory):
    ended = subprocess.Popen(["true"])
    ended.wait()
    nvml.process(0, ended.pid, 500)
    nvml.process(0, os.getpid(), 1)
    assert [process.pid for process in inventory.gpus()[0].processes] == [os.getpid()]


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/docker/{CONTAINER}\n", CONTAINER),
        (f"0::/system.slice/docker-{CONTAINER}.scope\n", CONTAINER),
        (f"0::/docker/{CONTAINER}/init.scope\n", CONTAINER),
        (f"0::/lab.slice/{CONTAINER} (deleted)\n", CONTAINER),
        (
            f"12:pids:/docker/{CONTAINER}\n11:memory:/docker/{CONTAINER}\n1:name=systemd:/docker/{CONTAINER}\n",
            CONTAINER,
        ),
        (f"1:name=systemd:/\n0::/docker/{CONTAINER}/docker/{'0' * 64}\n", CONTAINER),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        (f"0::/docker/{CONTAINER}0\n", None),
        (f"0::/docker/{CONTAINER[:32]}\n", None),
        ("0::/\n", None),
    ],
)
def test_the_container_of_a_process_is_read_from_its_cgroup(nvml, inventory, monkeypatch, tmp_path, cgroup, container):
    (tmp_path / "77").mkdir()
    (tmp_path / "77/cgroup").write_text(cgroup)
    monkeypatch.setattr(adapter, "PROC", tmp_path)
    nvml.process(0, 77, 1)
    assert inventory.gpus()[0].processes == (GpuProcess(77, 1 << 20, container),)


def test_the_process_of_a_real_container_has_the_containers_id(nvml, inventory, dockerd, image):
    container = _docker(dockerd, "run", "--detach", image, "sleep", "60")
    pid = int(_docker(dockerd, "inspect", "--format", "{{.State.Pid}}", container))
    nvml.process(0, pid, 64)
    try:
        assert inventory.gpus()[0].processes == (GpuProcess(pid, 64 << 20, container),)
    finally:
        _docker(dockerd, "rm", "--force", container)
    assert inventory.gpus()[0].processes == ()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "modprobe"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "reboot"),
        (pynvml.NVML_ERROR_UNKNOWN, "nvidia-smi"),
    ],
)
def test_without_a_driver_nvml_is_unavailable_and_the_message_says_what_to_do(nvml, inventory, code, advice):
    nvml.gone(code=code)
    for ask in (inventory.gpus, inventory.uuids):
        with pytest.raises(Unavailable, match=advice) as caught:
            ask()
        assert caught.value.part == "nvml"


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_UNINITIALIZED])
def test_it_recovers_by_itself_when_the_driver_comes_back(nvml, inventory, impatient, code):
    before = inventory.gpus()
    nvml.gone(code=code)
    with pytest.raises(Unavailable):
        inventory.gpus()
    nvml.gone(False)
    time.sleep(0.15)
    assert inventory.gpus() == before
    assert inventory.uuids() == tuple(gpu.uuid for gpu in before)


def test_a_driver_that_goes_in_the_middle_of_an_answer_is_not_taken_for_lost_gpus(nvml, inventory):
    """The count is answered before the driver goes; nothing may be reported as a fault of each GPU."""
    inventory.gpus()
    with ThreadPoolExecutor(1) as pool:
        nvml.slow(0.1)
        answer = pool.submit(inventory.gpus)
        time.sleep(0.15)
        nvml.gone()
        nvml.slow(0)
        with pytest.raises(Unavailable):
            answer.result(10)


def test_while_the_driver_is_away_it_is_tried_at_most_once_a_second(nvml, inventory):
    nvml.gone()
    tried = nvml.initialisations()
    until = time.monotonic() + 0.5
    asked = 0
    while time.monotonic() < until:
        with pytest.raises(Unavailable, match="modprobe"):
            inventory.gpus()
        asked += 1
    assert asked > 50
    assert nvml.initialisations() - tried == 1


def test_uuids_are_read_again_only_when_they_are_a_second_old(nvml, inventory):
    assert len(inventory.uuids()) == 4
    nvml.reset(2)
    assert len(inventory.uuids()) == 4
    time.sleep(1.05)
    assert len(inventory.uuids()) == 2


def test_a_hung_driver_is_unavailable_at_the_deadline_then_at_once_and_again_well_when_it_answers(nvml):
    inventory = NvmlInventory(deadline=0.3)
    inventory.gpus()
    nvml.slow(60)
    assert 0.25 < _time_until_unavailable(inventory) < 1
    assert _time_until_unavailable(inventory) < 0.1
    nvml.reset()
    time.sleep(0.2)
    assert len(inventory.gpus()) == 4


def test_many_callers_of_a_hung_driver_all_come_back(nvml):
    inventory = NvmlInventory(deadline=0.3)
    nvml.slow(60)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: _time_until_unavailable(inventory), range(32)))
    nvml.reset()
    assert max(waits) < 1.5


def test_many_threads_get_the_same_whole_answer(nvml, inventory):
    expected = inventory.gpus()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: inventory.gpus() if i % 2 else inventory.uuids(), range(200)))
    assert set(answers) == {expected, tuple(gpu.uuid for gpu in expected)}


def test_a_forked_child_asks_nvml_anew_even_if_the_parent_was_in_the_middle_of_a_question(nvml):
    code = (
        "import os, sys, threading, time\n"
        "from app.adapters.gpus.nvml import NvmlInventory\n"
        "inventory = NvmlInventory(deadline=2)\n"
        "state = os.environ['FAKE_NVML_STATE']\n"
        "assert len(inventory.gpus()) == 4\n"
        "open(state, 'a').write('slow 0.5\\n')\n"
        "threading.Thread(target=inventory.gpus, daemon=True).start()\n"
        "time.sleep(0.2)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    open(state, 'a').write('slow 0\\n')\n"
        "    os._exit(len(inventory.gpus()))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert _python(code, nvml.environ).returncode == 4


def test_a_forked_child_recovers_from_a_driver_that_went(nvml):
    code = (
        "import os, sys, time\n"
        "from app.adapters.gpus.nvml import NvmlInventory\n"
        "from app.errors import Unavailable\n"
        "inventory = NvmlInventory()\n"
        "assert len(inventory.gpus()) == 4\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert len(inventory.gpus()) == 4\n"
        "    open(os.environ['FAKE_NVML_STATE'], 'a').write('gone 9\\n')\n"
        "    try:\n"
        "        inventory.gpus()\n"
        "    except Unavailable:\n"
        "        open(os.environ['FAKE_NVML_STATE'], 'a').write('gone 0\\n')\n"
        "        time.sleep(1.05)\n"
        "        os._exit(len(inventory.gpus()))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert _python(code, nvml.environ).returncode == 4


def test_another_process_finds_the_library_by_the_environment(nvml):
    code = "from app.adapters.gpus.nvml import NvmlInventory; print(len(NvmlInventory().gpus()))"
    assert _python(code, nvml.environ).stdout == "4\n"


def test_a_missing_library_is_unavailable_with_advice_and_is_found_once_it_is_installed(nvml, tmp_path):
    code = (
        "import os, time\n"
        "from app.adapters.gpus.nvml import NvmlInventory\n"
        "from app.errors import Unavailable\n"
        "inventory = NvmlInventory()\n"
        "try:\n"
        "    inventory.uuids()\n"
        "except Unavailable as exc:\n"
        "    print(exc.part, exc.message)\n"
        f"os.symlink({str(nvml.path)!r}, {str(tmp_path / 'libnvidia-ml.so.1')!r})\n"
        "time.sleep(1.05)\n"
        "print(len(inventory.uuids()))\n"
    )
    lines = _python(code, nvml.environ | {"LD_LIBRARY_PATH": str(tmp_path)}).stdout.splitlines()
    assert lines[0].startswith("nvml libnvidia-ml.so.1 is not on this host")
    assert lines[1] == "4"


def _time_until_unavailable(inventory: NvmlInventory) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="hangs"):
        inventory.gpus()
    return time.monotonic() - started


def _python(code: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _docker(dockerd: Dockerd, *args: str) -> str:
    return subprocess.run([*dockerd.command, *args], capture_output=True, text=True, check=True).stdout.strip()
