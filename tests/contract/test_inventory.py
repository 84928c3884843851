"""What every Inventory promises, whether its GPUs are simulated or NVML's."""

import re
import time

import pytest

from app.adapters.gpus.nvml import NvmlInventory
from app.adapters.gpus.simulated import SimulatedInventory
from app.ports import Inventory

COUNT = 4


@pytest.fixture(params=["simulated", "nvml"])
def inventory(request: pytest.FixtureRequest) -> Inventory:
    if request.param == "simulated":
        return SimulatedInventory(COUNT, "node1")
    request.getfixturevalue("nvml").reset(COUNT)
    return NvmlInventory()


def test_it_has_as_many_gpus_as_there_are(inventory):
    assert len(inventory.gpus()) == COUNT


def test_each_gpu_has_a_uuid_of_its_own_in_the_form_that_docker_takes(inventory):
    uuids = inventory.uuids()
    assert len(set(uuids)) == COUNT
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in uuids)


def test_the_uuids_are_those_of_the_gpus_in_the_same_order(inventory):
    assert [gpu.uuid for gpu in inventory.gpus()] == list(inventory.uuids())


def test_gpus_come_by_index(inventory):
    assert [gpu.index for gpu in inventory.gpus()] == list(range(COUNT))


def test_asking_again_finds_the_same_gpus(inventory):
    assert inventory.gpus() == inventory.gpus()


def test_a_healthy_idle_gpu_gives_every_reading_in_its_unit(inventory):
    for gpu in inventory.gpus():
        assert gpu.fault is None
        assert gpu.model
        assert gpu.memory_total >= 1 << 30
        assert gpu.memory_used == 0
        assert 0 <= gpu.utilisation <= 100
        assert 20 <= gpu.temperature <= 100
        assert 10 <= gpu.power <= 1500
        assert gpu.processes == ()


def test_when_nothing_happened_there_are_no_events_and_nobody_waits_for_one(inventory):
    started = time.monotonic()
    assert [len(inventory.events()) for _ in range(3)] == [0, 0, 0]
    assert time.monotonic() - started < 10


def test_hearing_of_events_changes_nothing_about_the_gpus(inventory):
    before = inventory.gpus()
    inventory.events()
    assert inventory.gpus() == before


def test_simulated_gpus_are_the_same_for_the_same_node_and_others_for_another():
    first, again, other = (SimulatedInventory(3, node).uuids() for node in ("a", "a", "b"))
    assert first == again
    assert not set(first) & set(other)


def test_more_simulated_gpus_keep_the_uuids_of_the_first_ones():
    assert SimulatedInventory(8, "a").uuids()[:3] == SimulatedInventory(3, "a").uuids()


def test_simulated_uuids_do_not_change_from_release_to_release():
    # Claims in etcd are kept by UUID.
    assert SimulatedInventory(1, "node1").uuids() == ("GPU-2f9caeda-67bf-54ee-9c98-9ed55bbcfa01",)


def test_no_gpus_at_all_is_an_answer():
    assert SimulatedInventory(0, "a").gpus() == ()


def test_a_host_without_gpus_but_with_nvml_has_an_empty_inventory(nvml):
    nvml.reset(0)
    assert NvmlInventory().gpus() == ()
    assert NvmlInventory().uuids() == ()
