"""Start the newest version as it is: again in place, or because it should run and does not."""

from dataclasses import dataclass

from app.containers.desired import DesiredState, parent_of, plan_on_newest
from app.containers.effects import parent_left
from app.containers.recreate import newest_idle
from app.containers.transactions import ContainerResult
from app.errors import Conflict, NotFound, OperationFailed, PortTaken, RestartFailed, StartRefused
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Parent, Step
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Containers, Volumes
from app.state.containers import FamilyState
from app.volumes.claims import ensure_mounted


@dataclass(frozen=True)
class ResumeContainer(Request[ContainerResult]):
    """Start the newest version of `name`, which should run and does not; the agent asks for that."""

    name: Name


class StartPlan(Plan):
    """A start of the container that is the operation's parent."""


def plan_start(reader: Reader, kind: Kind, state: FamilyState) -> StartPlan:
    """Plan to start the newest version as it is; ContainerNotFound if it was deleted."""
    return StartPlan(**plan_on_newest(reader, kind, state))


@dataclass(frozen=True)
class Start(KindBase):
    """Stops a container and starts it again, in place."""

    containers: Containers
    volumes: Volumes
    desired: DesiredState

    @staticmethod
    def plan(reader: Reader, request: ResumeContainer) -> StartPlan:
        """Plan a resume; Conflict if it should not run any more."""
        state = newest_idle(reader, request.name)
        if state.record.desired != "running":
            raise Conflict(Text("{name} shall not run any more", name=state.current.name))
        return plan_start(reader, Kind.RESUME, state)

    def run(self, handle: OperationHandle, plan: StartPlan) -> ContainerResult:
        """Restart it in place."""
        parent, name = parent_of(handle.operation), handle.operation.name
        try:
            self.containers.stop(parent.container_id)
            self.start(handle.operation, parent)
        except OperationFailed as exc:
            raise RestartFailed(Text("{name} could not be restarted: {why}", name=name, why=exc.message)) from exc
        self.desired.commit(handle, "running")
        return ContainerResult(parent.container_id, name)

    def start(self, operation: Operation, parent: Parent) -> None:
        """Start a container once its volumes can be mounted."""
        ensure_mounted(self.volumes, self.desired.records.require(Name(operation.family)).current.spec)
        self.containers.start(parent.container_id)

    def recover(self, handle: OperationHandle) -> None:
        """Let run again what ran before; what runs now was started."""
        handle.step(Step.SETTLING)
        parent = parent_of(handle.operation)
        inspected = self.containers.inspect(parent.container_id)
        if inspected is not None and not inspected.running and parent.running:
            self._start_again(handle.operation, parent)
            inspected = self.containers.inspect(parent.container_id)
        if inspected is not None and inspected.running:
            self.desired.commit(handle, "running")
        else:
            handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to start it, or to leave it as it is."""
        found = self.containers.inspect(parent_of(operation).container_id)
        stays = list(parent_left(self.containers, self.desired.records, operation))
        starts = [Text("starts container {name}", name=found.name)] if found and not found.running else stays
        gone = None if found else Text("there is no container {name} in Docker any more", name=operation.name)
        left = WayOut(stays)
        return {
            Resolution.FINISH: WayOut(starts, self._finish, gone or self.desired.vanished(operation)),
            Resolution.UNDO: left,
            Resolution.FORGET: left,
        }

    def _finish(self, handle: OperationHandle) -> None:
        handle.step(Step.STARTING)
        self.start(handle.operation, parent_of(handle.operation))
        self.desired.commit(handle, "running")

    def _start_again(self, operation: Operation, parent: Parent) -> None:
        try:
            self.start(operation, parent)
        except (OperationFailed, StartRefused, NotFound, PortTaken):
            return  # the operation ends as undone and the container is shown as exited


@dataclass(frozen=True)
class Resume(Start):
    """Starts what should run and does not. Raises StartFailed, StartRefused, VolumeNotFound."""

    def run(self, handle: OperationHandle, plan: StartPlan) -> ContainerResult:
        """Start it, unless it runs by now."""
        parent = parent_of(handle.operation)
        if not parent.running:
            self.start(handle.operation, parent)
        self.desired.commit(handle, "running")
        return ContainerResult(parent.container_id, handle.operation.name)
