"""The gpudocks of other nodes, over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """Describe an HTTP request: `target` is its path with the query, as they are sent."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """Describe an HTTP answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Peers(Protocol):
    """Speak to the gpudocks of other nodes."""

    def ask(self, node: str, url: str, message: Message) -> Reply:
        """Send a request to the gpudock of `node` at `url`, once, and return its answer, whatever it is.

        Raises NodeUnreachable if the request certainly never arrived, NodeCutOff if it may have.
        """
