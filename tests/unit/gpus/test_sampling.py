"""The readings of the last hour: bounded, with gaps where nothing could be read."""

import threading
from collections.abc import Sequence

import pytest

from app.errors import Unavailable
from app.gpus.sampling import Sampler
from app.model.gpu import Gpu
from tests.support.world import FaultyInventory

DOWN = Unavailable("nvml", "the driver is not loaded")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_003.7

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inventory() -> FaultyInventory:
    return FaultyInventory(2, "test-node")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sampler(inventory: FaultyInventory, clock: Clock, kept: int = 10) -> Sampler:
    return Sampler(inventory, every=5, kept=kept, clock=clock)


def test_it_keeps_only_the_last_readings(inventory: FaultyInventory, clock: Clock) -> None:
    readings = sampler(inventory, clock, kept=3)
    for step in range(5):
        inventory.changes = {0: {"utilisation": step}}
        readings.read()
        clock.now += 5
    series = readings.series(inventory.uuids()[0])
    assert series.times == [1_000_010, 1_000_015, 1_000_020] and series.utilisation == [2, 3, 4]


def test_all_processes_read_at_the_same_moments_and_once_each(inventory: FaultyInventory, clock: Clock) -> None:
    readings = sampler(inventory, clock)
    readings.read()
    clock.now += 0.2
    readings.read()
    assert readings.series(inventory.uuids()[0]).times == [1_000_000]


def test_what_cannot_be_read_is_a_gap_and_not_zero(inventory: FaultyInventory, clock: Clock) -> None:
    readings = sampler(inventory, clock)
    first, second = inventory.uuids()
    inventory.changes = {0: {"utilisation": 0, "power": None}}
    for error in (None, DOWN, None):
        inventory.error = error
        readings.read()
        clock.now += 5
    assert readings.series(first).utilisation == [0, None, 0] and readings.series(first).power == [None] * 3
    assert readings.series(second).memory[1] is None and readings.series("GPU-other").memory == [None] * 3


def test_the_time_in_which_the_host_was_halted_is_a_gap(inventory: FaultyInventory, clock: Clock) -> None:
    readings = sampler(inventory, clock)
    readings.read()
    clock.now += 300
    readings.read()
    series = readings.series(inventory.uuids()[0])
    assert series.times == [1_000_000, 1_000_005, 1_000_300]
    assert [value is None for value in series.temperature] == [False, True, False]


def test_only_what_is_new_is_told(inventory: FaultyInventory, clock: Clock) -> None:
    readings = sampler(inventory, clock)
    for _ in range(3):
        readings.read()
        clock.now += 5
    assert readings.series(inventory.uuids()[0], since=1_000_005).times == [1_000_010]


class Asked(FaultyInventory):
    """Tells when it was asked for the second time."""

    def __init__(self) -> None:
        super().__init__(1, "test-node")
        self.times, self.twice = 0, threading.Event()

    def gpus(self) -> Sequence[Gpu]:
        self.times += 1
        if self.times == 2:
            self.twice.set()
        return super().gpus()


def test_it_reads_on_in_the_background_once_started() -> None:
    inventory = Asked()
    readings = Sampler(inventory, every=1)
    before = set(threading.enumerate())
    readings.start()
    readings.start()
    assert len(set(threading.enumerate()) - before) == 1 and inventory.twice.wait(20)
    assert readings.series(inventory.uuids()[0]).times
