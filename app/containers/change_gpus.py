"""Give a container another number of GPUs: the next version, with everything that was in this one."""

from dataclasses import dataclass

from app.containers.recreate import ChangePlan, Recreate, newest_idle, plan_next_version, unchanged
from app.containers.transactions import ContainerResult
from app.errors import GpuChangeFailed, OperationFailed
from app.model.gpu import check_count
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.operations.base import Request, Unchanged
from app.operations.reader import Reader


@dataclass(frozen=True)
class ChangeGpus(Request[ContainerResult]):
    """Give `name` `count` whole GPUs. Another count also starts a stopped container, the same one changes nothing."""

    name: Name
    count: int


@dataclass(frozen=True)
class GpuChange(Recreate):
    """Changes the number of GPUs: what it holds is kept as far as possible, the rest added or freed."""

    @staticmethod
    def plan(reader: Reader, request: ChangeGpus) -> ChangePlan | Unchanged[ContainerResult]:
        """Choose the GPUs of the next version."""
        check_count(request.count)
        state = newest_idle(reader, request.name)
        if request.count == state.current.spec.gpu_count and state.record.desired != "removed":
            return unchanged(state)
        return plan_next_version(reader, Kind.GPU, state, lambda spec: spec.with_gpus(request.count))

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that the change of GPUs failed."""
        return GpuChangeFailed(Text("the GPU change failed and was undone: {why}", why=error.message))
