"""Tell faults of GPUs from those of programs, record GPUs out of service, and advise on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from app.model.gpu import GpuEvent
from app.model.messages import Sentence, Text
from app.model.record import Record

# Errors of the program that used the GPU, as NVIDIA's table of XIDs has it; the GPU goes on working.
APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
_XIDS: Mapping[int, Text] = {
    48: Text("uncorrectable memory error"),
    61: Text("its microcontroller stopped at a breakpoint"),
    62: Text("its microcontroller halted"),
    63: Text("a bad page or row of its memory was retired"),
    64: Text("a bad page or row of its memory could not be retired"),
    74: Text("NVLink error"),
    79: Text("it has fallen off the bus"),
    92: Text("many correctable memory errors"),
    94: Text("contained memory error"),
    95: Text("uncontained memory error"),
    119: Text("its system processor does not answer"),
    120: Text("error of its system processor"),
    140: Text("uncorrectable memory error"),
}
_ANY_XID = Text("the driver reported an error")
ABSENT = Text("the GPU has gone: NVML does not list it any more")
DRAINED = Text("taken out of service by an operator")


def grave(event: GpuEvent) -> bool:
    """Tell if the GPU is at fault, and not a program on it."""
    return event.xid not in APPLICATION_XIDS


def xid_fault(xid: int) -> str:
    """An XID as a reason."""
    return Text("XID {xid}: {what}", xid=xid, what=_XIDS.get(xid, _ANY_XID))


@dataclass(frozen=True)
class OutOfService(Record):
    """Record the reason that a GPU is not given out: an operator's wish, a fault that gpudock found, or both.

    `code` is the XID of the fault; None for one that ends when the GPU answers again. `since` is when the GPU went
    out of service, `index` where it was then: it may be gone by now.
    """

    since: str
    index: int
    schedulable: bool = True
    fault: Sentence | None = None
    code: int | None = None

    @property
    def by(self) -> str:
        """Name the one to say that it may be given out again: operator or gpudock."""
        return "gpudock" if self.schedulable else "operator"

    @property
    def ended(self) -> bool:
        """Tell if nothing is left that keeps it out of service."""
        return self.schedulable and self.fault is None

    def drained(self) -> Self:
        """The same once an operator took it out of service."""
        return replace(self, schedulable=False)

    def faulty(self, fault: str, code: int | None = None) -> Self:
        """The same with a fault. An XID stays when more is found, since it needs an operator."""
        return self if self.code is not None else replace(self, fault=fault, code=code)

    def well(self) -> Self:
        """The same without its fault."""
        return replace(self, fault=None, code=None)


@dataclass(frozen=True)
class LostInside(Record):
    """A container's version that was found running without its GPUs, why that is known, and since when."""

    version: int
    reason: Sentence
    since: str = ""


def advice(fault: str | None, out: OutOfService | None) -> str | None:
    """Advise an operator on a GPU with that fault or record, so that it is given out again; None if it is already."""
    if out is not None and out.code is not None:
        return Text(
            "see dmesg; stop what uses the GPU, reset it (nvidia-smi --gpu-reset -i UUID) or reboot the host, "
            "then return it to service"
        )
    if fault == ABSENT:
        return Text(
            "see lspci and dmesg; it returns to service when it is back; to forget one that was removed, return it"
        )
    if fault is not None:
        return Text("see nvidia-smi and dmesg, reset the GPU or reboot the host; it returns to service when it is well")
    return Text("return it to service when it may be used again") if out is not None else None
