"""Give all records what they share: they keep fields that a newer gpudock added, and have limits to their values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

# A text or list is no longer than this (characters, entries) unless its field says otherwise.
LONGEST_TEXT, LONGEST_LIST = 1024, 10_000
# Numbers are from 0 to this one unless their field says otherwise.
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Longest:
    """Marks a text that may have up to `length` characters."""

    length: int


@dataclass(frozen=True)
class Highest:
    """Marks a number that may be up to `value`."""

    value: int


# The kernel takes no longer argument or variable.
Word = Annotated[str, Longest(1 << 17)]
Port = Annotated[int, Highest(65535)]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record in etcd, or a part of one. `extra` holds the fields that this version does not know, as they are."""

    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
