"""Commit a container to an image."""

from dataclasses import dataclass, replace

from app.containers.execute import existing
from app.containers.transactions import claim
from app.errors import ImageNameTaken, ImageNotFound
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Parent, Step
from app.model.validation import check_image
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Images

# The container's versioned name, and the image's name.
Committed = tuple[str, str]


@dataclass(frozen=True)
class CommitContainer(Request[Committed]):
    """Make an image of a container of any version; its name is that of the container's id if none is given."""

    name: Name
    image_name: str | None


@dataclass(frozen=True, kw_only=True)
class CommitPlan(Plan):
    """The container, by its id, and the name of the image."""

    container: str
    image: str


@dataclass(frozen=True)
class Commit(KindBase):
    """Makes images of containers. An operation of its own: meanwhile nothing changes the family."""

    images: Images

    @staticmethod
    def plan(reader: Reader, request: CommitContainer) -> CommitPlan:
        """Check the name; ImageNameTaken rather than take it away from an image that has it, InvalidRequest."""
        if request.image_name:
            _check_free(reader, check_image(request.image_name))
        reader.operations.ensure_idle(request.name.family)
        state, record = reader.records.require(request.name), existing(reader.records, request.name)
        inspected = reader.containers.inspect(record.container_id)
        parent = Parent(record.version, record.container_id, inspected is not None and inspected.running)
        image = request.image_name or record.container_id
        operation = reader.draft(Kind.COMMIT, record.family, record.version, parent=parent)
        operation = replace(operation, image_id=record.image_id, image=image)
        claimed = claim(reader, operation, state.revision)
        return CommitPlan(
            operation=operation,
            expected=claimed.expected,
            writes=claimed.writes,
            container=record.container_id,
            image=image,
        )

    def run(self, handle: OperationHandle, plan: CommitPlan) -> Committed:
        """Make the image; CommitFailed if Docker cannot."""
        self.images.commit(plan.container, plan.image, plan.operation.id)
        handle.commit([])
        return plan.operation.name, plan.image

    def recover(self, handle: OperationHandle) -> None:
        """Let the commit count if the image is there and its name is free, or its own already."""
        handle.step(Step.SETTLING)
        operation = handle.operation
        if operation.image and self.images.name_commit(operation.id, operation.image):
            handle.commit([])
        else:
            self._drop(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to name the image, or to do without it."""
        left = Text("leaves container {name} as it is", name=operation.name)
        named = Text(
            "gives the image its name {image}; if Docker has not made it, or the name is taken, the commit is undone",
            image=operation.image,
        )
        dropped = Text("removes the image if it has no name yet")
        forgotten = Text("leaves an image that has no name yet for now; reconcile removes it")
        return {
            Resolution.FINISH: WayOut([named, left], self.recover),
            Resolution.UNDO: WayOut([dropped, left], self._drop),
            Resolution.FORGET: WayOut([forgotten, left]),
        }

    def _drop(self, handle: OperationHandle) -> None:
        handle.end_undone()
        self.images.drop_commit(handle.operation.id)


def _check_free(reader: Reader, image: str) -> None:
    try:
        reader.images.image(image)
    except ImageNotFound:
        return
    raise ImageNameTaken(
        Text("there is an image {image} already; choose another name, or remove it first", image=repr(image))
    )
