"""The one who asks for a change, for its record: by which of CHANNELS, with whose token, in which request."""

from contextvars import ContextVar
from dataclasses import dataclass, replace

API, PAGE, COMMAND, GPUDOCK = CHANNELS = ("api", "page", "command", "gpudock")


@dataclass(frozen=True)
class Requester:
    """`by` is one of CHANNELS; `who` the name of the token, None for one without; `request` the id of the request."""

    by: str = GPUDOCK
    who: str | None = None
    request: str | None = None


# What nobody asks for gpudock does by itself, as reconcile.
ITSELF = Requester()
_asker: ContextVar[Requester] = ContextVar("requester", default=ITSELF)


def requester() -> Requester:
    """Return the one who asks for what this thread does."""
    return _asker.get()


def set_requester(who: Requester) -> None:
    """From now on this thread does what `who` asks for."""
    _asker.set(who)


def set_requester_name(name: str | None) -> None:
    """It has turned out whose token it is that this thread's requester sent: that of `name`."""
    _asker.set(replace(_asker.get(), who=name))
