"""Commit a container to an image."""

from dataclasses import dataclass, replace

from app.containers.transactions import Versions
from app.errors import ContainerNotFound, ImageNameTaken, ImageNotFound
from app.model.container import VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Parent
from app.model.validation import check_image
from app.operations.handle import OperationHandle
from app.operations.journal import Journal
from app.ports import ContainerReader, Images
from app.state.containers import Records


@dataclass(frozen=True)
class Committer:
    """Makes images of containers of any version. An operation of its own: meanwhile nothing changes the family."""

    records: Records
    journal: Journal
    versions: Versions
    containers: ContainerReader
    images: Images

    def __post_init__(self) -> None:
        self.journal.register("commit", self._settle)

    def commit(self, name: Name, image_name: str | None) -> tuple[str, str]:
        """Make an image of the container; its versioned name and the image's name (default: the container's id).

        Raises ImageNameTaken rather than take a name away from an image that has it, CommitFailed, InvalidRequest.
        """
        if image_name:
            self._check_free(check_image(image_name))
        live, record = self._begin(name, image_name)
        image = image_name or record.container_id
        with self.journal.guard(live):
            self.images.commit(record.container_id, image, live.operation.id)
            live.commit([])
        return record.name, image

    def _begin(self, name: Name, image_name: str | None) -> tuple[OperationHandle, VersionRecord]:
        found: list[VersionRecord] = []

        def attempt() -> OperationHandle | None:
            self.versions.ensure_idle(name.family)
            state, record = self.records.require(name), self.records.version(name)
            found[:] = [record]
            if record.removed:
                raise ContainerNotFound(
                    Text("{name} was deleted, only its record is kept; restart brings it back", name=record.name)
                )
            inspected = self.containers.inspect(record.container_id)
            parent = Parent(record.version, record.container_id, inspected is not None and inspected.running)
            operation = self.versions.operation("commit", name.family, record.version, parent)
            operation = replace(operation, image_id=record.image_id, image=image_name or record.container_id)
            return self.versions.begin(operation, state.revision)

        return self.journal.compete(attempt), found[0]

    def _check_free(self, image: str) -> None:
        try:
            self.images.image(image)
        except ImageNotFound:
            return
        raise ImageNameTaken(
            Text("there is an image {image} already; choose another name, or remove it first", image=repr(image))
        )

    def _settle(self, live: OperationHandle) -> None:
        """A commit that broke: it counts if the image is there and its name is free, or its own already."""
        live.step("settling")
        operation = live.operation
        if operation.image and self.images.name_commit(operation.id, operation.image):
            live.commit([])
        else:
            live.abandon([])
            self.images.drop_commit(operation.id)
