"""Everything one can do with containers, for the API, the pages and the commands."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.containers.adopt import AdoptContainer
from app.containers.change_gpus import ChangeGpus
from app.containers.change_volume import ChangeVolume
from app.containers.commit import CommitContainer, Committed
from app.containers.create import CreateContainer
from app.containers.delete import DeleteContainer
from app.containers.execute import ContainerExec
from app.containers.layer_sizes import LayerSizes
from app.containers.queries import ContainerQueries
from app.containers.restart import RestartContainer
from app.containers.rollback import RollBackContainer
from app.containers.start import ResumeContainer
from app.containers.stop import StopContainer
from app.containers.transactions import ContainerResult
from app.model.container import Bind, ExecResult, Spec
from app.model.names import Name
from app.operations.runner import Runner
from app.state.containers import Records


@dataclass(frozen=True)
class ContainerService:
    """The containers of this node to change, those of all nodes to read.

    Each change is carried out in this thread; to see it first, or to have it done in the background, hand its request
    (`ChangeGpus`, …, which also says what it does and returns) to `operations.preview` or `operations.in_background`.
    """

    runner: Runner
    records: Records
    queries: ContainerQueries
    exec: ContainerExec
    layer_sizes: LayerSizes

    def create(self, family: str, spec: Spec) -> ContainerResult:
        """Create and start the first version of a family."""
        return self.runner.run(CreateContainer(family, spec))

    def change_gpus(self, name: Name, count: int) -> ContainerResult:
        """Make the next version with another number of GPUs."""
        return self.runner.run(ChangeGpus(name, count))

    def change_volume(self, name: Name, old: Bind, new: Bind) -> ContainerResult:
        """Make the next version with another volume in the place of one."""
        return self.runner.run(ChangeVolume(name, old, new))

    def roll_back(self, name: Name, version: int) -> ContainerResult:
        """Make the next version from an earlier one."""
        return self.runner.run(RollBackContainer(name, version))

    def stop(self, name: Name) -> ContainerResult:
        """Stop it and free its GPUs."""
        return self.runner.run(StopContainer(name))

    def restart(self, name: Name) -> ContainerResult:
        """Restart it, in place or as the next version."""
        return self.runner.run(RestartContainer(name))

    def resume(self, name: Name) -> ContainerResult:
        """Start what should run and does not."""
        return self.runner.run(ResumeContainer(name))

    def delete(self, name: Name, force: bool, erase: bool) -> None:
        """Delete a version, with `erase` its record too."""
        self.runner.run(DeleteContainer(name, force, erase))

    def commit(self, name: Name, image_name: str | None) -> Committed:
        """Make an image of it."""
        return self.runner.run(CommitContainer(name, image_name))

    def adopt(self, name: str, family: str | None = None) -> ContainerResult:
        """Take in a container that gpudock did not make."""
        return self.runner.run(AdoptContainer(name, family))

    def execute(self, name: Name, cmd: Sequence[str], work_dir: str | None) -> ExecResult:
        """Run a command in it."""
        return self.exec.execute(name, cmd, work_dir)

    def logs(self, name: Name, tail: int) -> str:
        """Read the end of its log."""
        return self.exec.logs(name, tail)
