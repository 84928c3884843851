"""Who asks for a change, for its record: one of ASKERS. All callers have the same token, so more is not known."""

from contextvars import ContextVar

API, PAGE, COMMAND, GPUDOCK = ASKERS = ("api", "page", "command", "gpudock")
# What nobody asks for gpudock does by itself, as reconcile.
_asker: ContextVar[str] = ContextVar("asker", default=GPUDOCK)


def asker() -> str:
    """Who asks for what this thread does."""
    return _asker.get()


def asked_by(who: str) -> None:
    """From now on this thread does what `who` asks for."""
    _asker.set(who)
