"""The GPUs as NVIDIA's management library (NVML) tells them, through nvidia-ml-py.

One `_Session` per process id talks to NVML, one question at a time and each in a thread of its own: a
broken driver can hang a call in the kernel for ever, and then only that thread is lost.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar

import pynvml

from app.adapters.gpus.errors import GONE, REFUSED
from app.adapters.gpus.events import XidEvents
from app.errors import Unavailable
from app.model.gpu import Gpu, GpuEvent, GpuProcess
from app.model.messages import Text

PROC = Path("/proc")
UUIDS_AGE = 1.0
RETRY_AFTER = 1.0
INITIALISATIONS = 4
MIG_FAULT = Text("MIG mode is enabled; gpudock allocates whole GPUs only")

# Docker names a container's cgroup ID or docker-ID.scope, below a parent that is configurable. With Docker in
# Docker, the first ID is that of this host's container.
_CONTAINER = re.compile(r"/(?:docker-)?([0-9a-f]{64})(?![0-9a-f])")
_T = TypeVar("_T")


class NvmlInventory:
    """Implements `ports.Inventory` by NVML, each answer within `deadline` s; Unavailable("nvml") says what to do.

    gpudock must run in the host's pid namespace, since NVML reports the host's pids.
    """

    def __init__(self, deadline: float = 4.0) -> None:
        self._deadline = deadline
        self._session = _Session()

    def uuids(self) -> Sequence[str]:
        recent = self._session.recent_uuids()
        return recent if recent is not None else self._ask(_Session.uuids)

    def gpus(self) -> Sequence[Gpu]:
        """Read every GPU.

        A lost GPU whose UUID NVML does not tell any more keeps the one that this process last saw at its
        index; one that this process never saw is left out.
        """
        return self._ask(_Session.gpus)

    def events(self) -> Sequence[GpuEvent]:
        """List the XID errors; they begin anew after NVML was away, and GPUs that do not support events have none."""
        events = self._ask(_Session.events)
        # Not before they are here: an answer that comes after the deadline is told by the next call.
        self._session.forget(len(events))
        return events

    def _ask(self, question: Callable[["_Session"], _T]) -> _T:
        # What NVML and the lock hold across a fork belongs to the parent.
        if self._session.pid != os.getpid():
            self._session = _Session()
        session = self._session
        if session.stuck():
            raise _hung()
        answer: Future[_T] = Future()
        Thread(target=session.answer, args=(question, answer), name="nvml", daemon=True).start()
        try:
            return answer.result(self._deadline)
        except TimeoutError as exc:
            session.overdue = answer
            raise _hung() from exc


@dataclass(frozen=True)
class _Device:
    """A GPU at an index: its handle, or the fault for which there is none."""

    index: int
    uuid: str | None
    handle: Any = None
    fault: str | None = None


class _Session:
    """NVML as one process knows it; `answer` and what it calls run in one thread at a time."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._turn = Lock()
        self.overdue: Future[Any] | None = None
        self._connected = False
        self._retry_at = 0.0
        self._advice: str = ""
        self._seen: dict[int, str] = {}
        self._xids = XidEvents()
        self._uuids: tuple[float, tuple[str, ...]] | None = None

    def stuck(self) -> bool:
        """Tell if NVML is still at a question whose requester went away at its deadline."""
        overdue = self.overdue
        return overdue is not None and not overdue.done()

    def answer(self, question: Callable[["_Session"], _T], answer: "Future[_T]") -> None:
        """Put what NVML says into `answer`."""
        try:
            with self._turn:
                answer.set_result(question(self))
        except Unavailable as exc:
            answer.set_exception(exc)
        finally:
            # No answer, because of a bug: the requester must not wait for its deadline.
            answer.cancel()

    def recent_uuids(self) -> tuple[str, ...] | None:
        """Give the UUIDs by index if they were read less than UUIDS_AGE ago; needs no turn."""
        read = self._uuids
        return read[1] if read and monotonic() - read[0] < UUIDS_AGE else None

    def uuids(self) -> tuple[str, ...]:
        """Read the UUIDs by index."""
        # Somebody else may have read them while this question waited for its turn.
        recent = self.recent_uuids()
        if recent is not None:
            return recent
        with self._nvml():
            found = tuple(str(device.uuid) for device in self._devices())
        self._uuids = (monotonic(), found)
        return found

    def gpus(self) -> tuple[Gpu, ...]:
        """Read every GPU, now."""
        with self._nvml():
            return tuple(_gpu(device) for device in self._devices())

    def events(self) -> tuple[GpuEvent, ...]:
        """List the XID errors that were not yet told."""
        with self._nvml():
            self._xids.poll({str(device.uuid): device.handle for device in self._devices() if not device.fault})
        return tuple(self._xids.heard)

    def forget(self, count: int) -> None:
        """Forget so many of the XID errors, the oldest ones."""
        del self._xids.heard[:count]

    @contextmanager
    def _nvml(self) -> Iterator[None]:
        try:
            self._connect()
            yield
        except pynvml.NVMLError as exc:
            self._disconnect()
            unknown = Text("NVML does not answer ({why}); see nvidia-smi and dmesg", why=str(exc))
            self._advice = GONE.get(exc.value, unknown)
            raise Unavailable("nvml", self._advice) from exc

    def _connect(self) -> None:
        if self._connected:
            return
        if monotonic() < self._retry_at:
            raise Unavailable("nvml", self._advice)
        self._retry_at = monotonic() + RETRY_AFTER
        pynvml.nvmlInit()
        self._connected = True

    def _disconnect(self) -> None:
        # NVML counts its initialisations, and with any left goes on with the driver that is gone. A forked process
        # has its parents' too.
        if self._connected:
            self._connected = False
            self._xids.close()
            for _ in range(INITIALISATIONS):
                with suppress(pynvml.NVMLError):
                    pynvml.nvmlShutdown()

    def _devices(self) -> list[_Device]:
        found = [self._device(index) for index in range(pynvml.nvmlDeviceGetCount())]
        # After a reconnect indexes may have moved, and a UUID remembered for one is that of another GPU.
        alive = {device.uuid for device in found if not device.fault}
        return [device for device in found if device.uuid and (not device.fault or device.uuid not in alive)]

    def _device(self, index: int) -> _Device:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            self._seen[index] = _text(pynvml.nvmlDeviceGetUUID(handle))
            return _Device(index, self._seen[index], handle)
        except pynvml.NVMLError as exc:
            return _Device(index, self._seen.get(index), fault=_fault(exc))


def _gpu(device: _Device) -> Gpu:
    gpu = Gpu(str(device.uuid), device.index, fault=device.fault)
    if device.fault:
        return gpu
    try:
        return _read(gpu, device.handle)
    except pynvml.NVMLError as exc:
        return replace(gpu, fault=_fault(exc))


def _read(gpu: Gpu, handle: Any) -> Gpu:
    name = _reading(pynvml.nvmlDeviceGetName, handle)
    memory = _reading(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    rates = _reading(pynvml.nvmlDeviceGetUtilizationRates, handle)
    milliwatts = _reading(pynvml.nvmlDeviceGetPowerUsage, handle)
    mig = _reading(pynvml.nvmlDeviceGetMigMode, handle)
    return replace(
        gpu,
        model=_text(name) if name is not None else None,
        memory_total=memory.total if memory else None,
        memory_used=memory.used if memory else None,
        utilisation=rates.gpu if rates else None,
        temperature=_reading(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        power=milliwatts / 1000 if milliwatts is not None else None,
        fault=MIG_FAULT if mig and mig[0] == pynvml.NVML_DEVICE_MIG_ENABLE else None,
        processes=_processes(handle),
    )


def _processes(handle: Any) -> tuple[GpuProcess, ...]:
    compute = _reading(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle) or []
    graphics = _reading(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, handle) or []
    # One that does both is in both lists, with the same memory.
    memory = {process.pid: process.usedGpuMemory for process in (*graphics, *compute)}
    found = (_process(pid, used) for pid, used in memory.items())
    return tuple(process for process in found if process)


def _process(pid: int, memory: int | None) -> GpuProcess | None:
    try:
        cgroups = (PROC / str(pid) / "cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    match = _CONTAINER.search(cgroups)
    return GpuProcess(pid, memory, match[1] if match else None)


def _reading(read: Callable[..., Any], *args: Any) -> Any:
    """Call `read`; None if the device or the driver does not give it."""
    try:
        return read(*args)
    except pynvml.NVMLError as exc:
        if exc.value in REFUSED:
            return None
        raise


def _fault(exc: Any) -> str:
    """Tell why one GPU does not answer; raise the error again if NVML as a whole is gone."""
    if exc.value in GONE:
        raise exc
    return Text("the GPU does not answer: {why}", why=str(exc))


def _hung() -> Unavailable:
    return Unavailable("nvml", Text("the NVIDIA driver hangs; see dmesg, and reboot if nvidia-smi hangs as well"))


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
