"""Give a volume another size: the next version, with everything that the newest holds."""

from dataclasses import dataclass

from app.errors import OperationFailed, VolumeChangeFailed
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.model.sizes import parse_size
from app.operations.base import Request, Unchanged
from app.operations.reader import Reader
from app.state.keys import VOLUMES
from app.volumes.remake import CopyPlan, Remake, plan_copy
from app.volumes.transactions import VolumeResult


@dataclass(frozen=True)
class ResizeVolume(Request[VolumeResult]):
    """Make the next version of `name` with that size (like 50GB); the same number of bytes changes nothing."""

    name: Name
    size: str


@dataclass(frozen=True)
class Resize(Remake):
    """Grows and shrinks volumes."""

    @staticmethod
    def plan(reader: Reader, request: ResizeVolume) -> CopyPlan | Unchanged[VolumeResult]:
        """Plan the copy; VolumeTooSmall if more is in use than the new size holds."""
        size = parse_size(request.size)
        reader.operations.ensure_idle(request.name.family, VOLUMES)
        state = reader.volume_records.newest(request.name)
        if size.bytes == state.current.bytes and not state.current.removed:
            return Unchanged(VolumeResult(state.current, changed=False))
        return plan_copy(reader, Kind.RESIZE, state, size)

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that the resize failed."""
        return VolumeChangeFailed(Text("the volume's resize failed and was undone: {why}", why=error.message))
