"""Pull an image from its registry, as an operation."""

from dataclasses import dataclass, replace

from app.errors import ImageNotFound
from app.images.queries import ImageService, ImageView
from app.model.image import PullState, full_name
from app.model.messages import Text
from app.model.operation import Kind, Operation, Step
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Images
from app.state.keys import IMAGES


@dataclass(frozen=True)
class PulledImage:
    """The image that a pull brought, under the name it was asked for; whether that was another one before."""

    name: str
    view: ImageView
    changed: bool


@dataclass(frozen=True)
class PullImage(Request[PulledImage]):
    """Load the image, or what the registry has under its name by now."""

    name: str


@dataclass(frozen=True, kw_only=True)
class PullPlan(Plan):
    """The image's full name, and the id of the image that has it now, if any."""

    name: str
    before: str | None


@dataclass(frozen=True)
class Pull(KindBase):
    """Has Docker load images. What a pull that broke off has loaded is Docker's to keep or drop: nothing is undone."""

    images: Images
    service: ImageService

    @staticmethod
    def plan(reader: Reader, request: PullImage) -> PullPlan:
        """Check the name; OperationRunning if it is being pulled already."""
        name = full_name(request.name)
        family = f"{reader.node}/{name}"
        reader.operations.ensure_idle(family, IMAGES)
        operation = reader.draft(Kind.PULL, family, 0, IMAGES)
        return PullPlan(operation=operation, name=name, before=_present(reader, name))

    def run(self, handle: OperationHandle, plan: PullPlan) -> PulledImage:
        """Load it; RegistryUnreachable, ImageNotInRegistry or ImagePullFailed."""
        self.images.pull(plan.name, lambda state: _report(handle, state))
        handle.commit([], cancellable=True)
        view = self.service.one(plan.name)
        return PulledImage(plan.name, view, view.image.id != plan.before)

    def recover(self, handle: OperationHandle) -> None:
        """Leave to Docker what it has loaded."""
        handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to leave to Docker what it has loaded."""
        left = WayOut([Text("leaves to Docker what it has loaded of {image}", image=operation.name)])
        return {
            Resolution.FINISH: WayOut(refusal=Text("a pull that broke off cannot be finished; pull the image again")),
            Resolution.UNDO: left,
            Resolution.FORGET: left,
        }


def _present(reader: Reader, name: str) -> str | None:
    try:
        return reader.images.image(name).id
    except ImageNotFound:
        return None


def _report(handle: OperationHandle, state: PullState) -> None:
    if state.step != handle.operation.step:
        handle.step(Step(state.step))
    handle.progress(state.done, state.total)
    # What is written next, the end at the latest, has the last figures, also of a pull that was over in a moment.
    handle.operation = replace(handle.operation, done=state.done, total=state.total)
