"""XID errors through the real nvidia-ml-py, from a compiled library; and what becomes of the GPUs by them."""

import os
import time

import pynvml
import pytest

from app.adapters.gpus import events as adapter_events
from app.adapters.gpus import nvml as adapter
from app.adapters.gpus.nvml import NvmlInventory
from app.errors import Unavailable
from app.gpus.health import WELL_PASSES, GpuHealth
from app.gpus.visibility import GpuVisibility
from app.model.gpu_health import ABSENT
from app.model.operation import now
from app.state.containers import Records
from app.state.gpus import GpuRecords
from tests.support.fake_engine import FakeEngine
from tests.support.memory_store import MemoryStore


@pytest.fixture
def inventory(nvml) -> NvmlInventory:
    """One that has asked once, and hears of events from then on."""
    inventory = NvmlInventory()
    assert inventory.events() == ()
    return inventory


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(adapter, "RETRY_AFTER", 0.1)


@pytest.fixture
def records() -> GpuRecords:
    return GpuRecords(MemoryStore(), "node")


@pytest.fixture
def health(nvml, records) -> GpuHealth:
    store = MemoryStore()
    visibility = GpuVisibility(store, Records(store, "node"), FakeEngine(), FakeEngine())
    health = GpuHealth(records, visibility, NvmlInventory())
    assert health.check() == []
    return health


def heard(inventory: NvmlInventory) -> list[tuple[str, int]]:
    return [(event.uuid, event.xid) for event in inventory.events()]


def test_each_event_is_told_once_with_the_gpu_the_code_and_the_moment(nvml, inventory):
    before = now()
    nvml.xid(1, 79)
    nvml.xid(3, 31)
    nvml.xid(1, 45)
    events = inventory.events()
    assert [(e.uuid, e.xid) for e in events] == [(nvml.uuid(1), 79), (nvml.uuid(1), 45), (nvml.uuid(3), 31)]
    assert all(before <= event.moment <= now() for event in events)
    assert inventory.events() == ()


def test_what_happened_before_the_first_call_is_not_told(nvml):
    nvml.xid(0, 79)
    inventory = NvmlInventory()
    assert inventory.events() == ()
    nvml.xid(0, 48)
    assert heard(inventory) == [(nvml.uuid(0), 48)]


def test_it_does_not_wait_for_events(inventory):
    started = time.monotonic()
    inventory.events()
    assert time.monotonic() - started < 5


def test_a_storm_is_read_in_portions(nvml, inventory, monkeypatch):
    monkeypatch.setattr(adapter_events, "_AT_MOST", 3)
    for _ in range(7):
        nvml.xid(2, 74)
    assert [len(inventory.events()) for _ in range(4)] == [3, 3, 1, 0]


def test_a_gpu_that_does_not_support_events_is_passed_over(nvml):
    nvml.refuse(0, "events")
    inventory = NvmlInventory()
    assert inventory.events() == ()
    nvml.xid(0, 79)
    nvml.xid(1, 79)
    assert heard(inventory) == [(nvml.uuid(1), 79)]
    assert nvml.event_sets() == 3


def test_the_last_words_of_a_lost_gpu_are_heard_and_the_others_go_on_to_be(nvml, inventory):
    nvml.xid(2, 79)
    nvml.lose(2)
    assert heard(inventory) == [(nvml.uuid(2), 79)]
    nvml.xid(1, 48)
    assert heard(inventory) == [(nvml.uuid(1), 48)]


def test_a_gpu_that_came_back_is_registered_anew(nvml, inventory):
    nvml.lose(2)
    inventory.events()
    nvml.reset()
    inventory.events()
    nvml.xid(2, 79)
    assert heard(inventory) == [(nvml.uuid(2), 79)]
    assert nvml.event_sets() == 4


def test_a_gpu_that_was_lost_at_first_is_registered_when_it_is_there(nvml):
    nvml.lose(0)
    inventory = NvmlInventory()
    inventory.events()
    nvml.reset()
    inventory.events()
    nvml.xid(0, 95)
    assert heard(inventory) == [(nvml.uuid(0), 95)]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_UNKNOWN])
def test_after_the_driver_was_away_events_are_heard_again(nvml, impatient, inventory, code):
    nvml.gone(code=code)
    with pytest.raises(Unavailable):
        inventory.events()
    nvml.gone(False)
    assert _once_it_answers(inventory) == []
    nvml.xid(0, 94)
    assert heard(inventory) == [(nvml.uuid(0), 94)]
    assert nvml.event_sets() == 4


def test_events_of_an_answer_that_came_too_late_are_told_by_the_next_one(nvml):
    inventory = NvmlInventory(deadline=0.3)
    inventory.events()
    nvml.xid(1, 79)
    nvml.slow(0.05)  # a dozen calls
    with pytest.raises(Unavailable, match="hangs"):
        inventory.events()
    nvml.slow(0)
    assert _once_it_answers(inventory) == [(nvml.uuid(1), 79)]


def test_a_forked_child_hears_events_of_its_own(nvml, inventory):
    child = os.fork()
    if child == 0:
        quiet = inventory.events() == ()
        nvml.xid(0, 79)
        os._exit(len(inventory.events()) if quiet else 99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert heard(inventory) == [(nvml.uuid(0), 79)]


def test_xid_79_takes_a_gpu_out_until_an_operator_returns_it(nvml, health, records):
    nvml.xid(1, 79)
    nvml.lose(1)
    assert health.check() == [f"GPU {nvml.uuid(1)} is taken out of service: XID 79: it has fallen off the bus"]
    nvml.reset()
    for _ in range(2 * WELL_PASSES):
        assert health.check() == []
    out = records.out_of_service()[nvml.uuid(1)]
    assert (out.code, out.by, out.schedulable) == (79, "gpudock", True)
    assert list(records.out_of_service()) == [nvml.uuid(1)]


def test_xid_31_is_the_programs_own_fault(nvml, health, records):
    nvml.xid(1, 31)
    assert health.check() == [] and records.all() == {}


def test_a_lost_gpu_is_taken_out_and_returns_once_it_was_well_for_a_while(nvml, health, records):
    nvml.lose(3)
    assert health.check() == [f"GPU {nvml.uuid(3)} is taken out of service: the GPU does not answer: GPU is lost"]
    nvml.reset()
    for _ in range(WELL_PASSES - 1):
        assert health.check() == []
    assert health.check() == [f"GPU {nvml.uuid(3)} answers again and is back in service"]
    assert records.all() == {}


def test_a_gpu_that_a_driver_reload_did_not_find_again_is_taken_out(nvml, health, records):
    nvml.remove(0)
    assert health.check() == [f"GPU {nvml.uuid(0)} is taken out of service: {ABSENT}"]
    assert list(records.out_of_service()) == [nvml.uuid(0)]


def test_while_the_driver_is_away_no_gpu_is_taken_out(nvml, health, records):
    nvml.gone()
    assert health.check() == [] and records.all() == {}


def _once_it_answers(inventory: NvmlInventory) -> list[tuple[str, int]]:
    deadline = time.monotonic() + 10
    while True:
        try:
            return heard(inventory)
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.02)
