"""The reconcile process of a node: one pass after the other, as often as something changes and every few seconds."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from app.agent.executor import ActionExecutor
from app.agent.leadership import Contact, Leadership
from app.agent.plan import Action, plan
from app.agent.presence import Presence
from app.agent.snapshot import SnapshotReader
from app.errors import DomainError, Unavailable
from app.gpus.health import GpuHealth
from app.operations.startup import Startup
from app.ports import DOCKER_IS_BACK, Signals
from app.state.guard import StateGuard

log = structlog.get_logger()
_EVERY = 3.0
_LOOK_INSIDE_EVERY = 60.0


@dataclass
class Reconciler:
    """Reconciles one node for as long as it is not told to stop."""

    leadership: Leadership
    contact: Contact
    snapshot_reader: SnapshotReader
    executor: ActionExecutor
    startup: Startup
    guard: StateGuard
    gpu_health: GpuHealth
    signals: Signals
    presence: Presence
    stopping: threading.Event = field(default_factory=threading.Event)
    _away: bool = False
    _listened: bool = False
    _prepared: bool = False
    _inside_at: float = 0.0
    _serve: Callable[[], str] | None = None

    def run(self, serve: Callable[[], str]) -> None:
        """Until `stopping` is set. A part that is down, or a pass that fails, ends the pass and not the process.

        `serve` is called once this process leads: it is to answer other nodes from then on, and returns the URL.
        """
        self._serve = serve
        while not self.stopping.is_set():
            try:
                self.once()
            except Unavailable as exc:
                self._away = self._away or exc.part == "docker"
                log.warning("no pass: a part is down", part=exc.part, reason=exc.message)
            except DomainError as exc:
                log.error("a pass failed", reason=exc.message)
            self.presence.look_again()
            self._listen()
        self.presence.end()

    def _listen(self) -> None:
        """Until something changes or a few seconds are over. Docker may have been away between two passes."""
        back = DOCKER_IS_BACK in (self.signals.wait(_EVERY) or "")
        self._away = self._away or (back and self._listened)
        self._listened = self._listened or back

    def once(self) -> Sequence[Action]:
        """One pass, if this process leads: what it did. Raises Unavailable if a part is down, Fenced if it lost."""
        if not self.leadership.acquire():
            return ()
        self._appear()
        self.guard.check()  # an etcd older than Docker would have us end what it does not know
        moment = time.time()
        snapshot = self.snapshot_reader.read()
        outages = self.contact.renew(moment, self._away)
        self._away = False
        if not self._prepared:
            self.startup.run()
            self._prepared = True
        done = self.executor.execute(plan(snapshot, outages))
        self._care_for_gpus()
        return done

    def stop(self) -> None:
        """Let `run` return after the pass that is under way; may be called by a signal's handler."""
        self.stopping.set()
        self.signals.close()

    def rehearse(self) -> Sequence[Action]:
        """Plan what a pass would do now; nothing is done, and it does not matter who leads."""
        return plan(self.snapshot_reader.read(), self.contact.outages())

    def _appear(self) -> None:
        """Be there for the other nodes, once. While that cannot be, the passes go on."""
        if self._serve is None:
            return
        try:
            self.presence.begin(self._serve())
            self._serve = None
        except Unavailable as exc:
            log.error("other nodes cannot reach this one", reason=exc.message)

    def _care_for_gpus(self) -> None:
        for sentence in self.gpu_health.check():
            log.warning("GPU health", what=sentence)
        if time.monotonic() >= self._inside_at:
            self._inside_at = time.monotonic() + _LOOK_INSIDE_EVERY
            # It takes seconds in each container; the passes must not wait for that.
            threading.Thread(target=self._look_inside, daemon=True).start()

    def _look_inside(self) -> None:
        try:
            for sentence in self.gpu_health.look_inside():
                log.warning("GPU health", what=sentence)
        except DomainError as exc:
            log.warning("could not look inside containers", reason=exc.message)
