"""Go back: the next version of a container, made from the files and settings of an earlier one."""

from dataclasses import dataclass

from app.containers.recreate import ChangePlan, Recreate, newest_idle, plan_next_version, unchanged
from app.containers.transactions import ContainerResult
from app.errors import InvalidRequest, OperationFailed, RollbackFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.operations.base import Request, Unchanged
from app.operations.reader import Reader


@dataclass(frozen=True)
class RollBackContainer(Request[ContainerResult]):
    """Make the next version from `version`; back to the newest changes nothing.

    Its volumes are mounted as they are now: they have versions of their own.
    """

    name: Name
    version: int


@dataclass(frozen=True)
class Rollback(Recreate):
    """Makes the next version from an earlier one."""

    @staticmethod
    def plan(reader: Reader, request: RollBackContainer) -> ChangePlan | Unchanged[ContainerResult]:
        """Find the version; InvalidRequest for one that never was, ContainerNotFound for one whose files are gone."""
        state = newest_idle(reader, request.name)
        if not 0 <= request.version <= state.current.version:
            raise InvalidRequest(Text("version must be from 0 to {newest}, the newest", newest=state.current.version))
        if request.version == state.current.version and state.record.desired != "removed":
            return unchanged(state)
        return plan_next_version(reader, Kind.ROLLBACK, state, version=request.version)

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that going back failed."""
        return RollbackFailed(Text("going back failed and was undone: {why}", why=error.message))
