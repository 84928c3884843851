"""Create a sized volume."""

from dataclasses import dataclass

from app.errors import VolumeExists
from app.model.messages import Text
from app.model.names import VOLUME, check_family
from app.model.sizes import parse_size
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import busy
from app.state.keys import VOLUMES
from app.volumes.transactions import VolumeMaker, VolumeResult


@dataclass(frozen=True)
class VolumeCreator:
    """Creates the first version of a family of volumes."""

    maker: VolumeMaker

    def create(self, family: str, size: str) -> VolumeResult:
        """Create `family`-0, empty, of that size (like 20GB); any failure leaves nothing behind."""
        check_family(family, VOLUME)
        wanted = parse_size(size)
        live = self.maker.journal.compete(lambda: self._begin(family))
        with self.maker.journal.guard(live):
            way = self.maker.make(live, wanted)
            return self.maker.commit(live, wanted, way, None, None)

    def _begin(self, family: str) -> OperationHandle | None:
        self.check_absent(family)
        return self.maker.begin(Plan(self.maker.operation("create", family, 0)), 0, {})

    def check_absent(self, family: str) -> None:
        """VolumeExists or OperationRunning if the family's first version cannot be made."""
        operation = self.maker.journal.running(family, VOLUMES)
        if operation is not None and operation.kind != "create":
            raise busy(operation)
        if operation is not None:
            raise VolumeExists(
                Text("volume {name} is being created by another request; choose another name", name=family)
            )
        if self.maker.records.find(family) is not None:
            raise VolumeExists(
                Text("volume {name} exists already; choose another name or delete it first", name=family)
            )
        if left := self.maker.volumes.names(family):
            raise VolumeExists(
                Text(
                    "older volumes of an erased {family} still exist: {names}; delete them first",
                    family=family,
                    names=", ".join(left),
                )
            )
