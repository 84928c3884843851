"""Carries the actions of a pass out. Each one looks again first: the snapshot is a moment old by then."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app.agent.plan import DISCARD, LEFTOVERS, RELEASE_IMAGE, REMOVE_IMAGE, REMOVE_VOLUME, Action
from app.containers.start import ResumeContainer
from app.containers.undo import Undo
from app.errors import DomainError, Unavailable
from app.model.messages import Text, joined
from app.model.names import VOLUME, Name, parse
from app.model.operation import Kind, PastOperation, State
from app.operations.journal import Journal
from app.operations.reader import Reader
from app.operations.runner import Runner
from app.ports import Containers, Delete, Images, Put, Store, Volumes
from app.state.codec import encode, try_read
from app.state.keys import CONTAINERS, HISTORY, IMAGES, VOLUMES, family_key, operation_key
from app.state.retained_data import RetainedData

log = structlog.get_logger()
# What fails again and again is tried less and less often, up to these seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 3.0, 300.0


@dataclass
class _Pause:
    """`until` is on the monotonic clock; `length` is what the next pause will be."""

    until: float = 0.0
    length: float = _FIRST_PAUSE


@dataclass
class ActionExecutor:
    """Does what a plan says. What it did is in the journal's history, as operations of its own kinds."""

    store: Store
    journal: Journal
    containers: Containers
    images: Images
    runner: Runner
    reader: Reader
    undo: Undo
    volumes: Volumes
    retained_data: RetainedData
    pauses: dict[str, _Pause] = field(default_factory=dict)
    planned: frozenset[str] = frozenset()

    def execute(self, actions: list[Action]) -> list[Action]:
        """Do them all, in order; one that fails is logged and tried again later. What was tried. Raises Unavailable.

        What is left over only if it was planned the last time too: whoever is at work may just be tidying up itself.
        """
        before, self.planned = self.planned, frozenset(map(str, actions))
        self._forget_pauses()
        tried = []
        for action in actions:
            pause = self.pauses.get(str(action), _Pause())
            if time.monotonic() >= pause.until and (action.kind not in LEFTOVERS or str(action) in before):
                self._try(action, pause)
                tried.append(action)
        return tried

    def _forget_pauses(self) -> None:
        """Those that are over for so long that what they were for has not been tried again as soon as it could be."""
        now_ = time.monotonic()
        self.pauses = {name: pause for name, pause in self.pauses.items() if now_ < pause.until + pause.length}

    def _try(self, action: Action, pause: _Pause) -> None:
        handlers: dict[str, Callable[[Action], None]] = {
            "settle": self._settle,
            "start": self._start,
            "stop": self._stop,
            "remove": self._remove,
            "release": self._release,
            DISCARD: self._discard,
            RELEASE_IMAGE: self._release_image,
            REMOVE_VOLUME: self._remove_volume,
            REMOVE_IMAGE: self._remove_image,
        }
        log.info("reconcile", action=action.kind, target=action.target, reason=action.reason)
        try:
            handlers[action.kind](action)
        except Unavailable:
            raise
        except DomainError as exc:
            log.warning("reconcile could not do it", action=str(action), reason=exc.message)
        # A container that ends at once is started again, but not in a tight loop.
        self.pauses[str(action)] = _Pause(time.monotonic() + pause.length, min(2 * pause.length, _LONGEST_PAUSE))

    def _settle(self, action: Action) -> None:
        self.journal.recover_orphans()

    def _start(self, action: Action) -> None:
        self.runner.run(ResumeContainer(parse(action.target)))

    def _stop(self, action: Action) -> None:
        name = parse(action.target)
        if self.reader.operations.running(name.family) is None:
            self.containers.stop(str(action.container))
            self._note(Kind.STOP_STRAY, name, action.reason)

    def _remove(self, action: Action) -> None:
        name = parse(action.target)
        if self.reader.operations.running(name.family) is None:
            self.undo.sweep(name.family)
            self._note(Kind.REMOVE_STRAY, name, action.reason)

    def _release(self, action: Action) -> None:
        """Only if claim and family are as they were, and nobody works on the family."""
        if action.claim is None:
            return
        holder = action.claim.holder
        family = self.store.get(family_key(CONTAINERS, holder.family))
        expected = {
            action.claim.key: action.claim.revision,
            family_key(CONTAINERS, holder.family): family.revision if family else 0,
            operation_key(CONTAINERS, holder.family): 0,
        }
        if self.store.transact(expected, [Delete(action.claim.key)]) is not None:
            self._note(Kind.RELEASE, Name(holder.family, holder.version), joined([action.target, action.reason], ": "))

    def _discard(self, action: Action) -> None:
        if (files := action.retained) and self.retained_data.drop(files.resource, files.family, files.version):
            self._note(Kind.DISCARD, Name(files.family, files.version), action.reason, files.resource)

    def _release_image(self, action: Action) -> None:
        if self.undo.release_image(action.target):
            self._note(Kind.RELEASE, Name(action.target), action.reason, IMAGES)

    def _remove_volume(self, action: Action) -> None:
        if action.target in self.containers.mounts():  # somebody has found a use for it
            return
        self.volumes.undo(str(action.operation))
        self._note(Kind.REMOVE_STRAY, parse(action.target, VOLUME), action.reason, VOLUMES)

    def _remove_image(self, action: Action) -> None:
        operation = str(action.operation)
        self.images.drop_commit(operation)
        ended = try_read(PastOperation, self.store.get(HISTORY + operation))
        if ended is not None and operation not in self.images.nameless_commits():
            name = Name(ended.family, ended.version)
            reason = Text("the image of commit {operation}: {reason}", operation=operation, reason=action.reason)
            self._note(Kind.REMOVE_STRAY, name, reason)

    def _note(self, kind: Kind, name: Name, reason: str, resource: str = CONTAINERS) -> None:
        operation = self.reader.draft(kind, name.family, name.version or 0, resource)
        self.store.transact({}, [Put(HISTORY + operation.id, encode(operation.past(State.DONE, reason)))])
