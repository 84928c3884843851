"""Stop a container, which frees its GPUs; its host ports stay its own."""

from dataclasses import dataclass

from app.containers.desired import DesiredState, parent_of, plan_on_newest, runs
from app.containers.effects import parent_left
from app.containers.recreate import newest_idle, unchanged
from app.containers.transactions import ContainerResult
from app.errors import OperationFailed, StopFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Step
from app.operations.base import KindBase, Plan, Request, Resolution, Unchanged, WayOut, WaysOut
from app.operations.effects import freed
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
        """Offer to stop it, or to leave it as it is."""
        found = self.containers.inspect(parent_of(operation).container_id)
        stays = list(parent_left(self.containers, self.desired.records, operation))
        stops = [Text("stops container {name}", name=found.name)] if found and found.running else stays[:1]
        frees = freed(self.desired.records.claims().gpus_of(operation.family), ())
        left = WayOut(stays)
        return {
            Resolution.FINISH: WayOut([*stops, *frees], self._finish, self.desired.vanished(operation)),
            Resolution.UNDO: left,
            Resolution.FORGET: left,
        }

    def _finish(self, handle: OperationHandle) -> None:
        handle.step(Step.STOPPING)
        found = self.containers.inspect(parent_of(handle.operation).container_id)
        if found is not None and found.running:
            self.containers.stop(found.id)
        self.desired.commit(handle, "stopped")
