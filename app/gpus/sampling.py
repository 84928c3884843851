"""The readings of the last hour: every GPU's, every few seconds, in the memory of one process."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import Unavailable
from app.model.gpu import Gpu
from app.ports import Inventory

SECONDS, KEPT = 5, 720


class Reading(NamedTuple):
    """One GPU at one moment; None for what is not known."""

    utilisation: int | None = None
    memory: int | None = None
    temperature: int | None = None
    power: float | None = None


_GAP = Reading()


@dataclass(frozen=True)
class Series:
    """The readings of one GPU: at `times` (seconds since 1970) utilisation in %, memory in bytes, °C and W.

    None is a gap: the GPU did not tell, or nobody could ask. A time with nothing but None ends a line in a chart.
    """

    times: list[int]
    utilisation: list[int | None]
    memory: list[int | None]
    temperature: list[int | None]
    power: list[float | None]


class Sampler:
    """Keeps the last `kept` readings of all GPUs of this node, one every `every` seconds.

    All processes read at the same moments, the multiples of `every`, so that it does not matter which one is asked.
    """

    def __init__(
        self, inventory: Inventory, every: int = SECONDS, kept: int = KEPT, clock: Callable[[], float] = time.time
    ) -> None:
        self.every = every
        self._inventory = inventory
        self._clock = clock
        self._rounds: deque[tuple[int, Mapping[str, Reading]]] = deque(maxlen=kept)
        self._running = False

    def start(self) -> None:
        """Read in the background from now on, as long as this process lives. To be called after the fork."""
        if not self._running:
            self._running = True
            threading.Thread(target=self._read_on, daemon=True, name="sampler").start()

    def read(self) -> None:
        """Read once; while NVML does not answer there is a gap."""
        moment = int(self._clock()) // self.every * self.every
        try:
            gpus = {gpu.uuid: _reading(gpu) for gpu in self._inventory.gpus()}
        except Unavailable:
            gpus = {}
        if not self._rounds or moment > self._rounds[-1][0]:
            self._rounds.append((moment, gpus))

    def series(self, uuid: str, since: int = 0) -> Series:
        """Return the readings of that GPU after `since` (seconds since 1970), gaps where readings are missing."""
        found = Series([], [], [], [], [])
        before: int | None = None
        for moment, gpus in list(self._rounds):
            if moment > since:
                if before is not None and moment - before > 2 * self.every:  # the process, or the host, was halted
                    _add(found, before + self.every, _GAP)
                _add(found, moment, gpus.get(uuid, _GAP))
            before = moment
        return found

    def _read_on(self) -> None:
        while True:
            self.read()
            time.sleep(self.every - self._clock() % self.every)


def _reading(gpu: Gpu) -> Reading:
    return Reading(gpu.utilisation, gpu.memory_used, gpu.temperature, gpu.power)


def _add(series: Series, moment: int, reading: Reading) -> None:
    series.times.append(moment)
    series.utilisation.append(reading.utilisation)
    series.memory.append(reading.memory)
    series.temperature.append(reading.temperature)
    series.power.append(reading.power)
