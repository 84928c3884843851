"""Create a sized volume: the first version of a family."""

from dataclasses import dataclass

from app.errors import VolumeExists
from app.model.messages import Text
from app.model.names import VOLUME, check_family
from app.model.operation import Kind, Operation
from app.model.sizes import Size, parse_size
from app.operations.base import KindBase, Plan, Request, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.state.keys import VOLUMES, family_key
from app.state.operations import busy
from app.volumes.transactions import VolumeMaker, VolumeResult


@dataclass(frozen=True)
class CreateVolume(Request[VolumeResult]):
    """Create `family`-0, empty, of that size (like 20GB)."""

    family: str
    size: str


@dataclass(frozen=True, kw_only=True)
class VolumeCreatePlan(Plan):
    """The size of the volume to be made."""

    size: Size


@dataclass(frozen=True)
class VolumeCreate(KindBase):
    """Creates the first version of a family of volumes; any failure leaves nothing behind."""

    maker: VolumeMaker

    @staticmethod
    def plan(reader: Reader, request: CreateVolume) -> VolumeCreatePlan:
        """Check name and size; VolumeExists if there is one already."""
        check_family(request.family, VOLUME)
        size = parse_size(request.size)
        check_absent(reader, request.family)
        operation = reader.draft(Kind.CREATE, request.family, 0, VOLUMES)
        return VolumeCreatePlan(operation=operation, expected={family_key(VOLUMES, request.family): 0}, size=size)

    def run(self, handle: OperationHandle, plan: VolumeCreatePlan) -> VolumeResult:
        """Create it."""
        driver = self.maker.make(handle, plan.size)
        return self.maker.commit(handle, plan.size, driver)

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.maker.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.maker.ways_out(operation)


def check_absent(reader: Reader, family: str) -> None:
    """Refuse a family whose first version cannot be made, with VolumeExists or OperationRunning."""
    operation = reader.operations.running(family, VOLUMES)
    if operation is not None and (operation.kind != Kind.CREATE or operation.stuck):
        raise busy(operation)
    if operation is not None:
        raise VolumeExists(Text("volume {name} is being created by another request; choose another name", name=family))
    if reader.volume_records.find(family) is not None:
        raise VolumeExists(Text("volume {name} exists already; choose another name or delete it first", name=family))
    if left := reader.volumes.names(family):
        raise VolumeExists(
            Text(
                "older volumes of an erased {family} still exist: {names}; delete them first",
                family=family,
                names=", ".join(left),
            )
        )
