"""Sizes of volumes: a number and one of KB, MB, GB, TB, which are binary (1 KB = 1024 bytes)."""

import re
from dataclasses import dataclass
from fractions import Fraction

from app.errors import InvalidRequest, SizeUnitUnsupported
from app.model.messages import Text

UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
# One block of the filesystems that enforce sizes; and what a signed 64-bit number of bytes holds with room to spare.
SMALLEST, LARGEST = 4 << 10, 1 << 60
_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?", re.ASCII)
_SIZE = re.compile(r"(?P<number>.*?)(?P<unit>[a-zA-Z]*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Size:
    """A size as it was asked for (`text`, with its unit in capitals) and in bytes. Compare the bytes."""

    text: str
    bytes: int


def parse_size(text: str) -> Size:
    """Read `20GB`, `1.5tb`; SizeUnitUnsupported for another unit or none, InvalidRequest for another number."""
    match = _SIZE.fullmatch(text)
    number, unit = (match["number"], match["unit"].upper()) if match else ("", "")
    given = repr(text[:40])
    if unit not in UNITS:
        message = Text("size {size} must be a number and one of {units}, like 20GB", size=given, units=", ".join(UNITS))
        raise SizeUnitUnsupported(message)
    if not _NUMBER.fullmatch(number):
        raise InvalidRequest(Text("size {size} must begin with a plain number above 0, like 20GB or 1.5TB", size=given))
    size = int(Fraction(number) * UNITS[unit])
    if not SMALLEST <= size <= LARGEST:
        most = f"{LARGEST // UNITS['TB']}TB"
        raise InvalidRequest(Text("size {size} is out of range; give from 4KB to {most}", size=given, most=most))
    return Size(number + unit, size)


def human(size: int) -> str:
    """A number of bytes for people, with a binary unit and at most one decimal: 1536 -> "1.5 KB"."""
    unit = next((unit for unit, factor in reversed(UNITS.items()) if size >= factor), None)
    if unit is None:
        return Text("{size} bytes", size=size)
    return f"{size / UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
