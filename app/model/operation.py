"""Operations: the record of one change, enough for any process to finish or undo it."""

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TypeVar

from app.model.messages import from_json, to_json
from app.model.names import versioned


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


class State(StrEnum):
    """What has become of an operation. One that is stuck still holds what it claimed, until somebody resolves it."""

    RUNNING = "running"
    STUCK = "stuck"
    DONE = "done"
    UNDONE = "undone"


class Step(StrEnum):
    """How far an operation is. Not each kind comes to each step."""

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


E = TypeVar("E", bound=StrEnum)


def known(words: type[E], word: str) -> E | str:
    """The member of `words` that `word` is; itself if it is none, as a word of a later gpudock is."""
    return words(word) if word in list(words) else word


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
class Parent:
    """The version that an operation starts from: its container, and whether that ran when it began."""

    version: int
    container_id: str
    running: bool


@dataclass(frozen=True)
class Merge:
    """What was written to the volume `source` after it was resized, on its way into `target`, its successor."""

    source: str
    target: str


# A gpudock of the version before refuses fields that it does not know: they are written where they say something.
_SINCE_RESOLVE = ("tries", "stuck")


@dataclass(frozen=True)
class Operation:
    """What is being done to a family, by which process, how far it is, and what it claimed.

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
    ports: tuple[int, ...] = ()
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
    stuck: str | None = None

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

    def owned_by(self, owner: str) -> Self:
        """The same in the hands of another process."""
        return replace(self, owner=owner)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        fields = {key: value for key, value in raw.items() if key != "schema"}
        lists = {key: tuple(raw[key]) for key in ("gpus", "ports", "volumes") if key in raw}
        steps = tuple((known(Step, step), time) for step, time in raw.get("steps", ()))
        words = {"kind": known(Kind, raw["kind"]), "step": known(Step, raw["step"])}
        fields |= {**words, "stuck": from_json(raw.get("stuck"))}
        parent = Parent(**raw["parent"]) if raw["parent"] else None
        merge = Merge(**raw["merge"]) if raw.get("merge") else None
        return cls(**{**fields, **lists, "parent": parent, "merge": merge, "steps": steps})

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of the fields, with the schema number."""
        raw = {"schema": 1, **asdict(self), "stuck": to_json(self.stuck)}
        return {key: value for key, value in raw.items() if value or key not in _SINCE_RESOLVE}


def works_on(operations: Iterable[Operation], resource: str, family: str) -> bool:
    """Tell if one of the operations is on that family."""
    return any((operation.resource, operation.family) == (resource, family) for operation in operations)
