"""Operations: the record of one change, enough for any process to finish or undo it."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from app.model.messages import Sentence
from app.model.names import versioned
from app.model.record import Port, Record


class Kind(StrEnum):
    """The kinds of operations: first those that callers ask for, then what the agent does by itself."""

    CREATE = "create"
    GPU = "gpu"
    VOLUME = "volume"
    RESIZE = "resize"
    ROLLBACK = "rollback"
    RESTART = "restart"
    STOP = "stop"
    START = "start"
    DELETE = "delete"
    COMMIT = "commit"
    PULL = "pull"
    ADOPT = "adopt"
    RESUME = "resume"
    STOP_STRAY = "stop stray"
    REMOVE_STRAY = "remove stray"
    RELEASE = "release"
    DISCARD = "discard"

    @property
    def always_finished(self) -> bool:
        """Tell if it cannot be cancelled: it takes away what cannot be put back, or cannot be stopped half way."""
        return self in (Kind.DELETE, Kind.STOP, Kind.START, Kind.COMMIT)

    @property
    def starts_again(self) -> bool:
        """Tell if what it stops runs again in the end, so that the stop counts as downtime."""
        return self not in (Kind.STOP, Kind.DELETE, Kind.COMMIT)


class State(StrEnum):
    """The outcome of an operation, if it has one. One that is stuck holds its claims until somebody resolves it."""

    RUNNING = "running"
    STUCK = "stuck"
    DONE = "done"
    UNDONE = "undone"


class Step(StrEnum):
    """The progress of an operation. Not each kind comes to each step."""

    CLAIMED = "claimed"
    ASKING_REGISTRY = "asking the registry"
    LOADING = "loading"
    UNPACKING = "unpacking"
    CREATING = "creating"
    COPYING = "copying"
    STOPPING = "stopping"
    STARTING = "starting"
    SETTING_ASIDE = "setting aside"
    REMOVING = "removing"
    SETTLING = "settling"
    UNDOING = "undoing"


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """An id that no other operation has; ids sort by the time they were made."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(4)}"


def id_at(seconds: float) -> str:
    """An id between those made before and after that time, in seconds since 1970."""
    return f"{int(seconds * 1_000_000):014x}"


@dataclass(frozen=True)
class Parent(Record):
    """The version that an operation starts from: its container, and whether that ran when it began."""

    version: int
    container_id: str
    running: bool


@dataclass(frozen=True)
class Merge(Record):
    """Name the volume `source` that was written to after its resize, and `target`, its successor, to get that too."""

    source: str
    target: str


@dataclass(frozen=True)
class Operation(Record):
    """Record a change of a family: the process that makes it, its progress, and what it claimed.

    `resource` is "containers", "volumes" or "images"; the family of an image is its name after that of the node, so
    that several nodes may pull the same one. `version` is the version that it makes or acts on. `gpus` and `ports`
    are the UUIDs and host ports newly claimed for it, `volumes` the names of those that its container mounts.
    `erase` tells for a deletion whether the family's record goes too. `owner` is a process token as
    `Host.own_token` makes them. `done` and `total` count the bytes of a long copy, None where there is none.
    `image` is the name of the image that a commit makes. `steps` are those that it came to, each with the time.
    `kind` and `step` are words of a later gpudock where this one does not know them.
    `tries` counts how often bringing it to its end has failed, `stuck` says why nobody tries any more.
    `by` tells by which channel it was asked for, None in old records; `who` the name of whoever did, if the token has
    one, and `request` the id of the request that did.
    """

    id: str
    kind: Kind | str
    family: str
    version: int
    node: str
    owner: str
    started: str
    step: Step | str = Step.CLAIMED
    parent: Parent | None = None
    gpus: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    image_id: str | None = None
    erase: bool = False
    layer: str | None = None
    resource: str = "containers"
    volumes: tuple[str, ...] = ()
    merge: Merge | None = None
    done: int | None = None
    total: int | None = None
    image: str | None = None
    steps: tuple[tuple[Step | str, str], ...] = ()
    by: str | None = None
    who: str | None = None
    request: str | None = None
    tries: int = 0
    stuck: Sentence | None = None

    @property
    def name(self) -> str:
        """The versioned name of what it makes or acts on; an image's name."""
        if self.resource == "images":
            return self.family.removeprefix(f"{self.node}/")
        return versioned(self.family, self.version)

    def at(self, step: Step, layer: str | None = None) -> Self:
        """The same, one step further; with the place where a deletion set the layer aside, once it is known."""
        return replace(self, step=step, layer=layer or self.layer, steps=(*self.steps, (step, now())))

    def copied(self, done: int, total: int | None) -> Self:
        """The same with the progress of its copy, in bytes."""
        return replace(self, done=done, total=total)

    def reading(self, volume: str) -> Self:
        """The same, which reads a volume: nobody may delete that meanwhile."""
        return replace(self, volumes=(volume,))

    def past(self, outcome: State, error: str | None = None, code: int | None = None) -> "PastOperation":
        """The same as it is told once it has ended, which is now."""
        return PastOperation(**vars(self), ended=now(), outcome=outcome, error=error, code=code)

    def owned_by(self, owner: str) -> Self:
        """The same in the hands of another process."""
        return replace(self, owner=owner)


@dataclass(frozen=True, kw_only=True)
class PastOperation(Operation):
    """An operation that has ended: when, its outcome ("done" or "undone"), and of one that was undone the reason.

    `code` is that of the error that led to it, None if there was none.
    """

    ended: str
    outcome: State | str
    error: Sentence | None = None
    code: int | None = None


def works_on(operations: Iterable[Operation], resource: str, family: str) -> bool:
    """Tell if one of the operations is on that family."""
    return any((operation.resource, operation.family) == (resource, family) for operation in operations)
