"""The work of a fresh worker beside serving requests: after a reboot, or in the place of one that was killed."""

import threading
import time
from dataclasses import dataclass

import structlog

from app.errors import DomainError, StateUnexplained, Unavailable
from app.operations.journal import Journal
from app.ports import Volumes
from app.state.volumes import VolumeRecords

log = structlog.get_logger()
# Seconds; the second where an operator has to act first.
_RETRY, _RETRY_LATER = 0.5, 10.0


@dataclass(frozen=True)
class Startup:
    """Makes this node's volumes mountable, then settles what dead processes left half done."""

    journal: Journal
    records: VolumeRecords
    volumes: Volumes

    def run_soon(self) -> None:
        """Do it in the background, as soon as the parts answer."""
        threading.Thread(target=self._run_patiently, daemon=True).start()

    def run(self) -> None:
        """Do it now. A volume that cannot be mounted is logged: the others must not wait for it."""
        for record in self.records.everything()[1].values():
            if record.node == self.records.node and not record.removed:
                self._make_ready(record.name)
        self.volumes.driver()
        self.journal.recover_orphans()

    def _make_ready(self, name: str) -> None:
        try:
            self.volumes.ensure_mounted([name])
        except Unavailable:
            raise
        except DomainError as exc:
            log.error("a volume cannot be mounted", volume=name, reason=exc.message)

    def _run_patiently(self) -> None:
        while True:
            try:
                return self.run()
            except Unavailable as exc:
                time.sleep(_RETRY_LATER if isinstance(exc, StateUnexplained) else _RETRY)
