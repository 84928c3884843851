"""Undoing what made a version but did not commit it, from the operation's record alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from app.errors import NotFound, OperationFailed, PortTaken, StartRefused, UnreadableRecord
from app.model.container import Observed
from app.model.messages import Text
from app.model.names import Name, versioned
from app.model.operation import Operation, State, Step
from app.operations.base import Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.ports import Containers, DockerVolumes, Images, StoreReader, Volumes
from app.state.containers import Records
from app.state.keys import HISTORY
from app.state.volumes import VolumeRecords
from app.volumes.claims import ensure_mounted, unmerged

log = structlog.get_logger()


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
        handle.end_undone([*self.records.release(operation.gpus, operation.ports), *unmerged_])
        self.release_image(operation.image_id)

    def forget(self, handle: OperationHandle) -> None:
        """End the operation and give its claims back; Docker is left as it is."""
        operation = handle.operation
        released = self.records.release(operation.gpus, operation.ports)
        handle.end_undone([*released, *unmerged(self.volume_records, operation)])

    def ways_out(self, operation: Operation) -> WaysOut:
        """Tell how a stuck operation that makes a version can be resolved."""
        made = self.containers.list(operation=operation.id)
        runs = [observed.name for observed in made if observed.running]
        refusal = Text("{names} runs and may use what would be given back; stop it first", names=", ".join(runs))
        return {
            Resolution.FINISH: WayOut(refusal=Text("what was not committed cannot be finished; undo it")),
            Resolution.UNDO: WayOut([*self._undone(operation, made), *_freed(operation)], self),
            Resolution.FORGET: WayOut([*_left(made), *_freed(operation)], self.forget, refusal if runs else None),
        }

    def sweep(self, family: str) -> None:
        """Remove the family's containers that Docker made too late, when their operation had been undone."""
        for observed in self.containers.list(family=family):
            ended = self.store.get(HISTORY + observed.labels.operation) if observed.labels else None
            if ended is not None and ended.value.get("outcome") == State.UNDONE:
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

    def _undone(self, operation: Operation, made: Sequence[Observed]) -> Iterator[Text]:
        for observed in made:
            yield Text("removes container {name} ({state})", name=observed.name, state=observed.state)
        if operation.parent and operation.parent.running:
            parent = self.containers.inspect(operation.parent.container_id)
            name = parent.name if parent else versioned(operation.family, operation.parent.version)
            yield Text("starts {name} again, if it does not run", name=name)
        if operation.merge and operation.step != Step.CLAIMED:
            yield Text("leaves volume {volume} with only a part of its data", volume=operation.merge.target)


def _left(made: Sequence[Observed]) -> Iterator[Text]:
    for observed in made:
        yield Text("leaves container {name} ({state}) as it is", name=observed.name, state=observed.state)


def _freed(operation: Operation) -> Iterator[Text]:
    for uuid in operation.gpus:
        yield Text("frees GPU {uuid}", uuid=uuid)
    for port in operation.ports:
        yield Text("frees host port {port}", port=port)
    for volume in operation.volumes:
        yield Text("leaves volume {volume} as it is", volume=volume)
