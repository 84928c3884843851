"""GPUs: what the inventory reports, who holds one, and which ones an allocation takes."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from random import Random

from app.errors import GpuCountNegative, InvalidRequest, NotEnoughGpus
from app.model.messages import Sentence, Text
from app.model.record import Record


@dataclass(frozen=True)
class GpuProcess:
    """A process that uses a GPU: host pid, device memory in bytes (None if unreadable), container id if any."""

    pid: int
    memory: int | None
    container_id: str | None


@dataclass(frozen=True)
class Gpu:
    """One GPU as the inventory saw it. Memory in bytes, utilisation in %, temperature in °C, power in W.

    A reading that the device refuses is None, never 0. `fault` says why the GPU is unhealthy, else None.
    """

    uuid: str
    index: int
    model: str | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    utilisation: int | None = None
    temperature: int | None = None
    power: float | None = None
    fault: Sentence | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True)
class GpuEvent:
    """An XID error that the driver reported of a GPU, and when it was heard of (ISO 8601 in UTC)."""

    uuid: str
    xid: int
    moment: str


@dataclass(frozen=True)
class Holder(Record):
    """Record the holder of a GPU or host port: the version of a family, through an operation, in a container."""

    family: str
    version: int
    operation: str
    container_id: str | None = None


def foreign(gpu: Gpu, holder: Holder | None, threshold: int) -> tuple[GpuProcess, ...]:
    """The processes on `gpu` that are not its holder's and use at least `threshold` bytes of its memory.

    A process whose memory NVML does not tell counts, since it may use any amount.
    """
    ours = holder.container_id if holder else None
    return tuple(
        process
        for process in gpu.processes
        if (process.container_id is None or process.container_id != ours)
        and (process.memory is None or process.memory >= threshold)
    )


def check_count(count: int) -> int:
    """Return `count` if it can be a number of GPUs; GpuCountNegative or InvalidRequest otherwise."""
    if count < 0:
        raise GpuCountNegative(Text("gpuCount is {count}; give 0 for no GPUs or the number of whole GPUs", count=count))
    if count > 1024:
        raise InvalidRequest(Text("gpuCount is absurdly large; no host has more than 1024 GPUs"))
    return count


def choose(free: Collection[str], count: int, total: int, random: Random) -> list[str]:
    """Choose `count` of the `free` UUIDs at random, so that rival allocations seldom want the same.

    Raises NotEnoughGpus, with the counts, if fewer are free.
    """
    if count > len(free):
        message = Text(
            "{count} more GPUs are needed but {free} of {total} are free; ask for fewer, stop a container "
            "that holds some, or see at /api/v1/gpus?detail=true what keeps others out of service",
            count=count,
            free=len(free),
            total=total,
        )
        raise NotEnoughGpus(message, requested=count, free=len(free), total=total)
    return random.sample(sorted(free), count)


def split_kept(held: Iterable[str], usable: Collection[str], count: int) -> tuple[list[str], list[str]]:
    """Divide the GPUs `held` so far into those kept, at most `count`, and those given up.

    Only `usable` (present, healthy) ones are kept.
    """
    kept = [uuid for uuid in held if uuid in usable][:count]
    return kept, [uuid for uuid in held if uuid not in kept]
