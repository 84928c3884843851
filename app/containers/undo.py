"""Undoing what made a version but did not commit it, from the operation's record alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from app.containers.effects import made_left, parent_left, removed
from app.errors import NotFound, OperationFailed, PortTaken, StartRefused, UnreadableRecord
from app.model.container import Observed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Operation, State, Step
from app.operations.base import Resolution, WayOut, WaysOut
from app.operations.effects import UNFINISHABLE, freed, still_running, volumes_left
from app.operations.handle import OperationHandle
from app.ports import Containers, DockerVolumes, Images, StoreReader, Volumes
from app.state.containers import Records
from app.state.keys import HISTORY
from app.state.volumes import VolumeRecords
from app.volumes.claims import began_to_merge, ensure_mounted, unmerged

log = structlog.get_logger()


def made_too_late(store: StoreReader, observed: Observed) -> bool:
    """Tell if Docker made a container after its operation had been undone."""
    ended = store.get(HISTORY + observed.labels.operation) if observed.labels else None
    return ended is not None and ended.value.get("outcome") == State.UNDONE


@dataclass(frozen=True)
class Undo:
    """Removes the new container, lets the old one run again, gives the claims back."""

    store: StoreReader
    records: Records
    volume_records: VolumeRecords
    containers: Containers
    images: Images
    docker_volumes: DockerVolumes
    volumes: Volumes

    def __call__(self, handle: OperationHandle) -> None:
        """Undo the operation and end it in the journal; may be repeated."""
        unmerged_ = unmerged(self.volume_records, handle.operation)
        handle.step(Step.UNDOING)  # fails if the operation is not ours any more, before anything is touched
        operation = handle.operation
        for observed in self.containers.list(operation=operation.id):
            self.remove(operation.family, observed.id)
        self._start_parent(operation)
        handle.end_undone([*self.records.release_held(operation), *unmerged_])
        self.release_image(operation.image_id)

    def forget(self, handle: OperationHandle) -> None:
        """End the operation and give its claims back; Docker is left as it is."""
        operation = handle.operation
        handle.end_undone([*self.records.release_held(operation), *unmerged(self.volume_records, operation)])

    def ways_out(self, operation: Operation) -> WaysOut:
        """Tell how a stuck operation that makes a version can be resolved."""
        made = self.containers.list(operation=operation.id)
        given_up = [*self._volumes_left(operation), *freed(*self.records.held_by(operation))]
        undone = [*(removed(container) for container in made), *self._parent_after(operation), *given_up]
        forgotten = [*made_left(made), *parent_left(self.containers, self.records, operation), *given_up]
        runs = still_running([container.name for container in made if container.running])
        return {
            Resolution.FINISH: UNFINISHABLE,
            Resolution.UNDO: WayOut(undone, self),
            Resolution.FORGET: WayOut(forgotten, self.forget, runs),
        }

    def sweep(self, family: str) -> None:
        """Remove the family's containers that Docker made too late, when their operation had been undone."""
        for observed in self.containers.list(family=family):
            if made_too_late(self.store, observed):
                self.remove(family, observed.id)

    def release_image(self, image_id: str | None) -> bool:
        """Let go of an image, unless a version or a running operation needs it, or began to in that moment; whether."""
        if not image_id or self.records.needs_image(image_id):
            return False
        self.images.release_image(image_id)
        if not self.records.needs_image(image_id):
            return True
        self.images.hold_image(image_id)
        return False

    def remove(self, family: str, container: str) -> None:
        """Remove a container that is not on record, and its anonymous volumes but those of recorded versions."""
        inspected = self.containers.inspect(container)
        self.containers.remove(container)
        if inspected is not None:
            self._remove_volumes(family, set(inspected.anonymous.values()))

    def _remove_volumes(self, family: str, names: set[str]) -> None:
        try:
            self.records.ensure_readable(family)
        except UnreadableRecord as exc:  # it may be that version which has them
            log.warning("anonymous volumes are left", volumes=sorted(names), reason=exc.message)
            return
        recorded = {volume for record in self.records.versions(family) for volume in record.anonymous.values()}
        for volume in names - recorded:
            self.docker_volumes.remove_volume(volume)

    def _start_parent(self, operation: Operation) -> None:
        if operation.parent is None or not operation.parent.running:
            return
        try:
            if self.records.find(operation.family):  # a container that was to be adopted is not on record
                record = self.records.version(Name(operation.family, operation.parent.version))
                ensure_mounted(self.volumes, record.spec)
            self.containers.start(operation.parent.container_id)
        except (OperationFailed, StartRefused, NotFound, PortTaken) as exc:
            log.error("the old version does not start again", operation=operation.id, reason=exc.message)

    def _parent_after(self, operation: Operation) -> Iterator[Text]:
        """Say what undoing does to the container that the operation began with."""
        parent = operation.parent
        found = self.containers.inspect(parent.container_id) if parent else None
        if parent and parent.running and found and not found.running:
            yield Text(
                "starts container {name} ({state}) again, if Docker can", name=found.name, state=Text(found.state)
            )
        else:
            yield from parent_left(self.containers, self.records, operation)

    def _volumes_left(self, operation: Operation) -> list[Text]:
        merge = operation.merge if began_to_merge(operation) else None
        whole = volumes_left(name for name in operation.volumes if merge is None or name != merge.target)
        if merge is None:
            return whole
        return [*whole, Text("leaves volume {volume} with only a part of its data", volume=merge.target)]
