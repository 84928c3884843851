"""Undoing what made a version but did not commit it, from the operation's record alone."""

import structlog

from app.errors import NotFound, OperationFailed, PortTaken, StartRefused, UnreadableRecord
from app.model.container import Observed
from app.model.names import Name
from app.model.operation import Operation
from app.operations.handle import OperationHandle
from app.ports import Engine, Store
from app.state.containers import Records
from app.state.keys import HISTORY
from app.volumes.claims import VolumeClaims

log = structlog.get_logger()


class Undo:
    """Removes the new container, lets the old one run again, gives the claims back."""

    def __init__(self, store: Store, records: Records, engine: Engine, volumes: VolumeClaims) -> None:
        self._store = store
        self._records = records
        self._engine = engine
        self._volumes = volumes

    def __call__(self, live: OperationHandle) -> None:
        """Undo the operation and end it in the journal; may be repeated."""
        forgotten = self._volumes.forget(live.operation)
        live.step("undoing")  # fails if the operation is not ours any more, before anything is touched
        operation = live.operation
        for observed in self._engine.list(operation=operation.id):
            self._remove(operation.family, observed.id)
        self._start_parent(operation)
        live.abandon([*self._records.release(operation.gpus, operation.ports), *forgotten])
        self.release_image(operation.image_id)

    def sweep(self, family: str) -> list[Observed]:
        """The family's containers, after removing those that Docker made too late, when their operation was undone."""
        left = []
        for observed in self._engine.list(family=family):
            ended = self._store.get(HISTORY + observed.labels.operation) if observed.labels else None
            if ended is not None and ended.value.get("outcome") == "undone":
                self._remove(family, observed.id)
            else:
                left.append(observed)
        return left

    def release_image(self, image_id: str | None) -> bool:
        """Let go of an image, unless a version or a running operation needs it, or began to in that moment; whether."""
        if not image_id or self._records.needs_image(image_id):
            return False
        self._engine.release_image(image_id)
        if not self._records.needs_image(image_id):
            return True
        self._engine.hold_image(image_id)
        return False

    def _remove(self, family: str, container: str) -> None:
        inspected = self._engine.inspect(container)
        self._engine.remove(container)
        if inspected is not None:
            self._remove_volumes(family, set(inspected.anonymous.values()))

    def _remove_volumes(self, family: str, names: set[str]) -> None:
        try:
            self._records.ensure_readable(family)
        except UnreadableRecord as exc:  # it may be that version which has them
            log.warning("anonymous volumes are left", volumes=sorted(names), reason=exc.message)
            return
        for record in self._records.versions(family):
            names -= set(record.anonymous.values())
        for volume in names:
            self._engine.remove_volume(volume)

    def _start_parent(self, operation: Operation) -> None:
        if operation.parent is None or not operation.parent.running:
            return
        try:
            if self._records.find(operation.family):  # a container that was to be adopted is not on record
                self._volumes.ready(self._records.version(Name(operation.family, operation.parent.version)).spec)
            self._engine.start(operation.parent.container_id)
        except (OperationFailed, StartRefused, NotFound, PortTaken) as exc:
            log.error("the old version does not start again", operation=operation.id, reason=exc.message)
