"""Small records that etcd keeps of its own state, below /meta/ and /cancellations/."""

from dataclasses import dataclass

from app.model.record import Record


@dataclass(frozen=True)
class NewestOperation(Record):
    """The id of the last operation that began on a node."""

    operation: str


@dataclass(frozen=True)
class AcceptedState(Record):
    """Up to which operation, and after which restore, an operator accepted what etcd does not explain, and when."""

    newest: str
    restored: str = ""
    accepted: str = ""


@dataclass(frozen=True)
class RestoredState(Record):
    """When a backup was brought back, from when that was, and which operations were running in it."""

    restored: str
    backup: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restoring(Record):
    """Since when a restore runs, and from when its backup is."""

    since: str
    backup: str = ""


@dataclass(frozen=True)
class Cancellation(Record):
    """When somebody asked that an operation be cancelled."""

    asked: str
