"""Restart a container: in place if it holds what it needs, else as the next version with new GPUs."""

from dataclasses import dataclass

from app.containers.recreate import ChangePlan, Recreate, newest_idle, plan_next_version
from app.containers.start import StartPlan, plan_start
from app.containers.transactions import ContainerResult, vanished
from app.errors import OperationFailed, RestartFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.operations.base import Request
from app.operations.reader import Reader


@dataclass(frozen=True)
class RestartContainer(Request[ContainerResult]):
    """Restart `name`: a running one, or one without GPUs, in place."""

    name: Name


@dataclass(frozen=True)
class Renew(Recreate):
    """Brings a stopped or deleted container back with newly allocated GPUs."""

    @staticmethod
    def plan(reader: Reader, request: RestartContainer) -> ChangePlan | StartPlan:
        """Decide whether a restart in place will do."""
        state = newest_idle(reader, request.name)
        gone = state.record.desired == "removed"
        if gone or (state.record.desired == "stopped" and state.current.spec.gpu_count):
            return plan_next_version(reader, Kind.RESTART, state)
        if reader.containers.inspect(state.current.container_id) is None:
            raise vanished(state.current.name)
        return plan_start(reader, Kind.START, state)

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that the restart failed."""
        return RestartFailed(Text("the restart failed and was undone: {why}", why=error.message))
