"""This node's presence in the cluster: that its process lives, where it answers, and how its things are."""

import threading
from collections.abc import Callable

import structlog

from app.agent.reporter import Reporter
from app.errors import DomainError, Unavailable
from app.model.messages import Text
from app.model.node import NodeAgent, host_of
from app.model.version import VERSION
from app.ports import Delete, Host, Store
from app.state.codec import encode
from app.state.keys import agent_key

log = structlog.get_logger()
# Seconds: the others see that the process has died when the first are over; it says that it lives in between.
LIFE, _BEAT = 8, 1.5
_EVERY = 3.0


class Presence:
    """Speaks for a node, from the process that reconciles it."""

    def __init__(self, store: Store, reporter: Reporter, host: Host, node: str) -> None:
        self._store = store
        self._host = host
        self._reporter = reporter
        self._key = agent_key(node)
        self._problem: str | None = None
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, url: str) -> None:
        """Tell the others from now on that this node answers at `url`, and how its things are."""
        # Two, since a Docker that hangs must not let the node seem dead.
        for work, pause in ((lambda: self.beat(url), self._rest), (self.report, self._wait)):
            thread = threading.Thread(target=self._repeat, args=(work, pause), daemon=True)
            self._threads.append(thread)
            thread.start()

    def look_again(self) -> None:
        """Things may have changed: report soon."""
        self._changed.set()

    def end(self) -> None:
        """Tell the others that this node answers no more."""
        self._ended.set()
        self._changed.set()
        for thread in self._threads:
            thread.join(LIFE)
        if self._threads:
            self._safely(lambda: self._store.transact({}, [Delete(self._key)]))

    def _repeat(self, work: Callable[[], object], pause: Callable[[], object]) -> None:
        while not self._ended.is_set():
            self._safely(work)
            pause()

    def _rest(self) -> None:
        self._ended.wait(_BEAT)

    def _wait(self) -> None:
        self._changed.wait(_EVERY)
        self._changed.clear()

    def beat(self, url: str) -> None:
        """Tell that this node lives and answers at `url`, once. Raises Unavailable."""
        agent = NodeAgent(url, host_of(self._host.own_token()), VERSION, self._problem)
        self._store.put_leased(self._key, encode(agent), LIFE)

    def report(self) -> None:
        """Tell how its things are, once. Raises Unavailable, which the next `beat` tells too, or Fenced."""
        try:
            self._reporter.report()
        except Unavailable as exc:
            self._problem = None if exc.part == "etcd" else exc.message
            raise
        except DomainError:
            raise
        except Exception:  # a defect: the others must not take old reports for what is so now
            self._problem = Text("it met a defect while it looked, which its log describes")
            raise
        self._problem = None

    def _safely(self, work: Callable[[], object]) -> None:
        try:
            work()
        except DomainError as exc:
            log.warning("could not tell the other nodes", reason=exc.message)
        except Exception as exc:  # a defect must not end it either: the node would seem dead from then on
            log.exception("could not tell the other nodes", exc_info=exc)
