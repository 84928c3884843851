"""Everything one can do with volumes, for the API, the pages and the commands."""

from dataclasses import dataclass

from app.model.names import Name
from app.operations.runner import Runner
from app.state.volumes import VolumeRecords
from app.volumes.adopt import AdoptVolume
from app.volumes.create import CreateVolume
from app.volumes.delete import DeleteVolume
from app.volumes.disk_usage import DiskUsage
from app.volumes.queries import VolumeQueries
from app.volumes.resize import ResizeVolume
from app.volumes.rollback import RollBackVolume
from app.volumes.transactions import VolumeResult


@dataclass(frozen=True)
class VolumeService:
    """The volumes of this node to change, those of all nodes to read; see `ContainerService`."""

    runner: Runner
    records: VolumeRecords
    queries: VolumeQueries
    disk_usage: DiskUsage

    def create(self, family: str, size: str) -> VolumeResult:
        """Create the first version of a family."""
        return self.runner.run(CreateVolume(family, size))

    def resize(self, name: Name, size: str) -> VolumeResult:
        """Make the next version with another size."""
        return self.runner.run(ResizeVolume(name, size))

    def roll_back(self, name: Name, version: int) -> VolumeResult:
        """Make the next version from an earlier one."""
        return self.runner.run(RollBackVolume(name, version))

    def delete(self, name: Name, force: bool, erase: bool) -> None:
        """Delete a version, with `erase` its record too."""
        self.runner.run(DeleteVolume(name, force, erase))

    def adopt(self, name: str, family: str | None, size: str) -> VolumeResult:
        """Take in a volume that gpudock did not make."""
        return self.runner.run(AdoptVolume(name, family, size))
