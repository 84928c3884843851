"""Go back: the next version of a volume, with the data and the size of an earlier one."""

from dataclasses import dataclass

from app.errors import InvalidRequest, OperationFailed, VolumeChangeFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.operations.base import Request, Unchanged
from app.operations.reader import Reader
from app.state.keys import VOLUMES
from app.volumes.remake import CopyPlan, Remake, plan_copy
from app.volumes.transactions import VolumeResult


@dataclass(frozen=True)
class RollBackVolume(Request[VolumeResult]):
    """Make the next version of `name` from `version`; back to the newest changes nothing."""

    name: Name
    version: int


@dataclass(frozen=True)
class VolumeRollback(Remake):
    """Makes the next version from an earlier one."""

    @staticmethod
    def plan(reader: Reader, request: RollBackVolume) -> CopyPlan | Unchanged[VolumeResult]:
        """Plan the copy; InvalidRequest for a version that never was, VolumeNotFound for one whose data is gone."""
        reader.operations.ensure_idle(request.name.family, VOLUMES)
        state = reader.volume_records.newest(request.name)
        newest = state.current.version
        if not 0 <= request.version <= newest:
            raise InvalidRequest(Text("version must be from 0 to {newest}, the newest", newest=newest))
        if request.version == newest and not state.current.removed:
            return Unchanged(VolumeResult(state.current, changed=False))
        return plan_copy(reader, Kind.ROLLBACK, state, version=request.version)

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that going back failed."""
        return VolumeChangeFailed(Text("the volume's rollback failed and was undone: {why}", why=error.message))
