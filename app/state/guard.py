"""Detect an etcd that forgot something: one that was restored from a backup, or lost, is older than Docker.

Whatever gpudock makes in Docker carries the id of its operation, and those sort by time. An object made by an
operation that is newer than the newest that etcd knows of, and that nothing in etcd explains, was made after etcd's
state. Docker is always asked before etcd, where an operation is written down before Docker sees anything of it.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import StateUnexplained
from app.model.container import VersionRecord
from app.model.messages import Text, joined
from app.model.operation import now
from app.model.volume import VolumeRecord
from app.ports import ContainerReader, Entry, Put, Store, VolumeReader
from app.state import schema_version
from app.state.codec import encode, read, readable, try_read
from app.state.keys import (
    CONTAINERS,
    HISTORY,
    META,
    OPERATIONS,
    RESTORED,
    RESTORING,
    VOLUMES,
    accepted_key,
    families_prefix,
    is_version,
    newest_key,
)
from app.state.notes import AcceptedState, NewestOperation, RestoredState
from app.state.unreadable import unclear_families

# For how many seconds a look at Docker counts for calls that change something, unless etcd steps back meanwhile.
_FRESH = 2.0
_ID = re.compile(r"[0-9a-f]{22}")
_NAMED = 5


@dataclass(frozen=True)
class DockerObject:
    """Something that gpudock made in Docker: a container with its id and state, or a volume, where both are None.

    `unsettled` tells that its operation was running when the backup was made that etcd was restored from. It may have
    ended well since, but to etcd it has broken off.
    """

    kind: str
    name: str
    operation: str
    id: str | None = None
    state: str | None = None
    unsettled: bool = False

    @property
    def text(self) -> Text:
        """Name it and its state, for people."""
        if self.kind == "volume":
            return Text("volume {name}", name=self.name)
        return Text("container {name} ({state})", name=self.name, state=self.state)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Known:
    """Hold etcd's notes of itself: the newest operation of the node or accepted one, and what was restored last.

    `unsettled` are the operations that came back with that, unless an operator has accepted them.
    """

    newest: str
    restored: str
    unsettled: frozenset[str]


class StateGuard:
    """Compares the Docker of `node` with etcd, and remembers what an operator has accepted."""

    def __init__(self, store: Store, containers: ContainerReader, volumes: VolumeReader, node: str) -> None:
        self._store = store
        self._containers = containers
        self._volumes = volumes
        self._node = node
        self._layout = schema_version.SchemaVersion(store)
        self._looked: tuple[float, _Known] | None = None

    def check(self) -> None:
        """Look now. Raises StateUnexplained, which says what to do, or RestoreUnfinished."""
        self._look(self._made(), self._known())

    def ensure(self) -> None:
        """The same for one who is about to change something: a look at Docker counts for two seconds."""
        looked, known = self._looked, self._known()
        if looked is None or time.monotonic() > looked[0] or _stepped_back(looked[1], known):
            self.check()
        else:
            self._looked = looked[0], known

    def unexplained(self) -> list[DockerObject]:
        """List what Docker has of this node that etcd does not explain, by name. Raises RestoreUnfinished."""
        made = self._made()
        return self._unexplained(made, self._known())

    def accept(self) -> list[DockerObject]:
        """Let what is unexplained now be, and return it.

        Operations that came back with a restore are settled from then on, and so undone as far as they were.
        """
        if found := self.unexplained():
            self._layout.ensure()
            known = self._known()
            newest = max(known.newest, *(object_.operation for object_ in found))
            accepted = AcceptedState(newest, known.restored, now())
            self._store.transact({}, [Put(accepted_key(self._node), encode(accepted))])
        return found

    def _look(self, made: Sequence[DockerObject], known: _Known) -> None:
        self._looked = None
        if found := self._unexplained(made, known):
            raise _refusal(found, empty=not known.newest)
        if known.newest:  # one that knows nothing yet could be emptied without being seen to step back
            self._looked = time.monotonic() + _FRESH, known

    def _made(self) -> list[DockerObject]:
        """Everything of ours in Docker whose operation has an id that makes sense."""
        containers = [
            DockerObject("container", seen.name, seen.labels.operation, seen.id, seen.state)
            for seen in self._containers.list()
            if seen.labels
        ]
        volumes = [DockerObject("volume", name, operation) for name, operation in self._volumes.made().items()]
        return [object_ for object_ in [*containers, *volumes] if _ID.fullmatch(object_.operation)]

    def _known(self) -> _Known:
        notes = {entry.key: entry for entry in self._store.list(META)}
        if RESTORING in notes:
            raise schema_version.unfinished()
        # Without these two more has to be explained; but without the last nobody knows which operations came back.
        newest = try_read(NewestOperation, notes.get(newest_key(self._node))) or NewestOperation("")
        accepted = try_read(AcceptedState, notes.get(accepted_key(self._node))) or AcceptedState("")
        restored = read(RestoredState, notes[RESTORED]) if RESTORED in notes else RestoredState("")
        pending = restored.operations if accepted.restored != restored.restored else ()
        return _Known(
            newest=max(newest.operation, accepted.newest),
            restored=restored.restored,
            unsettled=frozenset(pending),
        )

    def _unexplained(self, made: Sequence[DockerObject], known: _Known) -> list[DockerObject]:
        marked = [replace(object_, unsettled=_may_have_ended_well(object_, known)) for object_ in made]
        late = [object_ for object_ in marked if object_.operation > known.newest or object_.unsettled]
        if not late:  # as a rule: nothing but the notes had to be read
            return []
        entries = self._store.list(families_prefix(CONTAINERS), families_prefix(VOLUMES), OPERATIONS, HISTORY)
        recorded, unclear = _recorded(entries), _unclear(entries)
        running = {e.value.get("id") for e in entries if e.key.startswith(OPERATIONS)}
        past = (e.key.removeprefix(HISTORY) for e in entries if e.key.startswith(HISTORY) and self._here(e))
        ended = max(past, default="")
        return sorted(
            (
                object_
                for object_ in late
                if (object_.kind, object_.id or object_.name) not in recorded
                and (object_.kind, object_.name.rpartition("-")[0]) not in unclear
                and (object_.unsettled or (object_.operation not in running and object_.operation > ended))
            ),
            key=lambda object_: (object_.kind, object_.name),
        )

    def _here(self, entry: Entry) -> bool:
        return bool(entry.value.get("node") == self._node)


def _may_have_ended_well(object_: DockerObject, known: _Known) -> bool:
    return object_.operation in known.unsettled and object_.state != "created"


def _recorded(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """The ids of recorded containers and the names of recorded volumes, each with its kind."""
    versions = [entry for entry in entries if is_version(entry.key)]
    containers = readable(VersionRecord, _below(versions, families_prefix(CONTAINERS)))
    volumes = readable(VolumeRecord, _below(versions, families_prefix(VOLUMES)))
    ids = {("container", record.container_id) for _, record in containers}
    return ids | {("volume", record.name) for _, record in volumes}


def _unclear(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """The families with what cannot be read, each with its kind: that may explain whatever they have."""
    kinds = {CONTAINERS: "container", VOLUMES: "volume"}
    return {(kinds[resource], family) for resource, family in unclear_families(entries) if resource in kinds}


def _below(entries: Sequence[Entry], prefix: str) -> list[Entry]:
    return [entry for entry in entries if entry.key.startswith(prefix)]


def _stepped_back(before: _Known, after: _Known) -> bool:
    return after.newest < before.newest or after.restored != before.restored


def _refusal(found: Sequence[DockerObject], empty: bool) -> StateUnexplained:
    names = joined((made.text for made in found[:_NAMED]), ", ")
    if (more := len(found) - _NAMED) > 0:
        names = Text("{names} and {count} more", names=names, count=more)
    state = Text("etcd is empty") if empty else Text("etcd is older than Docker")
    message = Text(
        "{state}, which has {names} that it does not explain; restore a newer backup (gpudock restore FILE), "
        "or look at them and run: gpudock accept-restored-state",
        state=state,
        names=names,
    )
    return StateUnexplained("etcd", message)
