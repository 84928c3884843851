"""The store: etcd, which holds the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Entry:
    """Hold a stored key with its JSON object and the revision of its last change (`mod_revision`).

    `text` is what is there instead, if it is none; `value` is empty then.
    """

    key: str
    value: dict[str, Any]
    revision: int
    text: str | None = None


@dataclass(frozen=True)
class Put:
    """Write `value` at `key`."""

    key: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete `key`, or with `prefix` every key that begins with it."""

    key: str
    prefix: bool = False


class StoreReader(Protocol):
    """Read the truth, in etcd. Keys are relative to the configured prefix and begin with "/"."""

    def get(self, key: str) -> Entry | None:
        """Read the entry at `key`; None if there is none."""

    def list(self, *prefixes: str) -> list[Entry]:
        """Read every entry under the prefixes, by key, all as of one revision."""


class Store(StoreReader, Protocol):
    """Read and write the truth; `transact` is the one way to change it."""

    def transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
        """Apply `writes` if each key of `expected` has that revision (0: does not exist), and return the new revision.

        None, and nothing written, if an expectation fails. Raises OutcomeUnknown if the connection broke
        so that it may or may not have happened; plain Unavailable if it certainly did not.
        """

    def put_leased(self, key: str, value: Mapping[str, Any], seconds: int) -> None:
        """Let `key` have `value` for as long as this is called again within `seconds`.

        That it is gone, or still there, is a hint only. To be called by one thread for each key.
        """

    def ping(self) -> str:
        """Tell the version of the server."""
