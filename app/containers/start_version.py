"""What every operation does that makes a version: create its container, fill it, start it, commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.containers.migration import Migrator, Source
from app.containers.transactions import ContainerResult, VersionCommit
from app.errors import OperationFailed
from app.model.container import ContainerPlan, Inspected
from app.model.messages import Text
from app.model.operation import Step
from app.operations.handle import OperationHandle
from app.ports import Containers, Images, Volumes
from app.state.containers import FamilyState
from app.volumes.claims import ensure_mounted


def _nothing() -> None: ...


@dataclass(frozen=True)
class VersionStarter:
    """Makes a version from what was planned of it."""

    containers: Containers
    images: Images
    volumes: Volumes
    migrator: Migrator
    committer: VersionCommit

    def create(self, plan: ContainerPlan) -> str:
        """Create the container, not started; its id."""
        self.images.hold_image(plan.image_id)
        return self.containers.create(plan)

    def fill(self, handle: OperationHandle, source: Source, container: str) -> Callable[[], None]:
        """Copy the source's files into the new container, see `Migrator.carry`."""
        return self.migrator.carry(handle, source, container)

    def start(
        self,
        handle: OperationHandle,
        plan: ContainerPlan,
        container: str,
        write_out: Callable[[], None] = _nothing,
        state: FamilyState | None = None,
        parent: int | None = None,
        freed: Sequence[str] = (),
    ) -> ContainerResult:
        """Start the new container and commit it as the newest version, see `VersionCommit.commit`.

        `write_out` is called after the start, to keep the downtime short; before the commit, which promises it.
        """
        handle.step(Step.STARTING)
        ensure_mounted(self.volumes, plan.spec)
        self.containers.start(container)
        write_out()
        anonymous = self._inspect(container).anonymous
        return self.committer.commit(handle, plan, container, anonymous, state, parent, tuple(freed))

    def _inspect(self, container: str) -> Inspected:
        inspected = self.containers.inspect(container)
        if inspected is None:
            raise OperationFailed(Text("the new container vanished from Docker while it was being made"))
        return inspected
