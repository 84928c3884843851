"""Describe the findings of an examination of the installation."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`FAIL` means that gpudock cannot do its work, `warning` that some of it is impossible or at risk."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One part of the installation: its state, what was found, and what to do about it (empty if nothing)."""

    part: str
    status: Status
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.status:<8} {self.part:<15} {self.found}" + (f"; {self.advice}" if self.advice else "")


def ok(part: str, found: str) -> Finding:
    """All is well."""
    return Finding(part, Status.OK, found)


def warning(part: str, found: str, advice: str) -> Finding:
    """Something is impossible or at risk."""
    return Finding(part, Status.WARNING, found, advice)


def fail(part: str, found: str, advice: str) -> Finding:
    """gpudock cannot work like that."""
    return Finding(part, Status.FAIL, found, advice)
