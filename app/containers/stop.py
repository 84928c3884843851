"""Stop a container, which frees its GPUs; its host ports stay its own."""

from dataclasses import dataclass

from app.containers.desired import DesiredState, parent_of, plan_on_newest, runs
from app.containers.recreate import newest_idle, unchanged
from app.containers.transactions import ContainerResult
from app.errors import OperationFailed, StopFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Step
from app.operations.base import KindBase, Plan, Request, Resolution, Unchanged, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Containers


@dataclass(frozen=True)
class StopContainer(Request[ContainerResult]):
    """Stop `name`; a stopped one stays as it is."""

    name: Name


@dataclass(frozen=True)
class Stop(KindBase):
    """Stops the newest version of a family."""

    containers: Containers
    desired: DesiredState

    @staticmethod
    def plan(reader: Reader, request: StopContainer) -> Plan | Unchanged[ContainerResult]:
        """Find out whether there is something to stop; ContainerNotFound if it was deleted."""
        state = newest_idle(reader, request.name)
        if state.record.desired == "stopped" and not runs(reader, state):
            return unchanged(state)
        return Plan(**plan_on_newest(reader, Kind.STOP, state))

    def run(self, handle: OperationHandle, plan: Plan) -> ContainerResult:
        """Stop it. What is gone from Docker can still be stopped, to free its GPUs."""
        parent, name = parent_of(handle.operation), handle.operation.name
        try:
            if parent.running:
                self.containers.stop(parent.container_id)
        except OperationFailed as exc:
            raise StopFailed(Text("{name} could not be stopped: {why}", name=name, why=exc.message)) from exc
        self.desired.commit(handle, "stopped")
        return ContainerResult(parent.container_id, name)

    def recover(self, handle: OperationHandle) -> None:
        """Let the stop count if the container does not run."""
        handle.step(Step.SETTLING)
        inspected = self.containers.inspect(parent_of(handle.operation).container_id)
        if inspected is None or not inspected.running:
            self.desired.commit(handle, "stopped")
        else:
            handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to stop it, or to let it run."""
        name = operation.name
        stops = [Text("stops container {name}", name=name), Text("frees the GPUs that {name} holds", name=name)]
        left = WayOut([Text("leaves container {name} as it is", name=name)])
        return {Resolution.FINISH: WayOut(stops, self._finish), Resolution.UNDO: left, Resolution.FORGET: left}

    def _finish(self, handle: OperationHandle) -> None:
        self.containers.stop(parent_of(handle.operation).container_id)
        self.desired.commit(handle, "stopped")
