"""Pull an image from its registry, as an operation."""

from dataclasses import dataclass, replace

from app.errors import ImageNotFound
from app.images.queries import ImageService, ImageView
from app.model.image import PullState, full_name
from app.model.operation import Operation
from app.operations import hooks
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import Journal
from app.ports import Images
from app.state.keys import IMAGES


@dataclass(frozen=True)
class PulledImage:
    """The image that a pull brought, under the name it was asked for; whether that was another one before."""

    name: str
    view: ImageView
    changed: bool


@dataclass(frozen=True)
class ImagePuller:
    """Has Docker load images. What a pull that broke off has loaded is Docker's to keep or drop: nothing is undone."""

    journal: Journal
    images: Images
    shelf: ImageService

    def __post_init__(self) -> None:
        self.journal.register("pull", lambda live: live.abandon([]), IMAGES)

    def pull(self, name: str) -> PulledImage:
        """Load the image, or what the registry has under its name by now.

        Raises RegistryUnreachable, ImageNotInRegistry, ImagePullFailed, OperationRunning if it is being pulled already.
        """
        name = full_name(name)
        before = self._present(name)
        live = self.journal.compete(lambda: self._begin(name))
        with self.journal.guard(live):
            self.images.pull(name, lambda state: _report(live, state))
            live.commit([], cancellable=True)
        view = self.shelf.one(name)
        return PulledImage(name, view, view.image.id != before)

    def _begin(self, name: str) -> OperationHandle | None:
        family = f"{self.shelf.node}/{name}"
        self.journal.ensure_idle(family, IMAGES)
        operation: Operation = self.journal.operation("pull", family, 0, IMAGES)
        hooks.planned(Plan(operation))
        return self.journal.begin(operation, {})

    def _present(self, name: str) -> str | None:
        try:
            return self.images.image(name).id
        except ImageNotFound:
            return None


def _report(live: OperationHandle, state: PullState) -> None:
    if state.step != live.operation.step:
        live.step(state.step)
    live.progress(state.done, state.total)
    # What is written next, the end at the latest, has the last figures, also of a pull that was over in a moment.
    live.operation = replace(live.operation, done=state.done, total=state.total)
