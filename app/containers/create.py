"""Create a container: plan, claim, create, start, commit."""

from dataclasses import dataclass, replace

from app.containers.binds import Binds
from app.containers.transactions import ContainerResult, Versions
from app.containers.undo import Undo
from app.errors import ContainerExists
from app.gpus.allocation import Allocation, Allocator
from app.model.container import Image, Spec
from app.model.messages import Text
from app.model.names import check_family
from app.model.validation import check_spec
from app.operations.handle import OperationHandle
from app.operations.journal import Journal, busy
from app.ports import Containers, Images
from app.state.containers import Records
from app.volumes.claims import VolumeClaims


@dataclass(frozen=True)
class Creator:
    """Creates the first version of a family."""

    records: Records
    journal: Journal
    versions: Versions
    containers: Containers
    images: Images
    allocator: Allocator
    binds: Binds
    volumes: VolumeClaims
    undo: Undo

    def __post_init__(self) -> None:
        self.journal.register("create", self.undo)

    def create(self, family: str, spec: Spec) -> ContainerResult:
        """Create and start `family`-0; any failure leaves nothing behind."""
        spec = check_spec(spec)
        check_family(family)
        self.check_absent(family)
        image = self.images.image(spec.image)
        spec = replace(spec, binds=self.binds.check(spec.binds))
        allocation, live = self._claim(family, spec, image)
        with self.journal.guard(live):
            plan = self.versions.plan(live.operation, allocation, image.id, {})
            self.images.hold_image(image.id)
            container = self.containers.create(plan)
            live.step("starting")
            self.volumes.ensure_mounted(plan.spec)
            self.containers.start(container)
            inspected = self.containers.inspect(container)
            anonymous = inspected.anonymous if inspected else {}
            record = self.versions.record(plan, container, anonymous, "create", None)
            self.versions.commit(live, record, None, ())
        return ContainerResult(container, plan.name)

    def check_absent(self, family: str) -> None:
        """ContainerExists or OperationRunning if the family's first version cannot be made."""
        existing = self.undo.sweep(family)  # before the records: a rival's new container is in them by then
        operation = self.journal.running(family)
        if operation is not None and operation.kind == "create":
            raise ContainerExists(
                Text("container {name} is being created by another request; choose another name", name=family)
            )
        if operation is not None:
            raise busy(operation)
        if self.records.find(family) is not None:
            raise ContainerExists(
                Text("container {name} exists already; choose another name or delete it first", name=family)
            )
        if existing:
            raise ContainerExists(
                Text(
                    "older containers of an erased {family} still exist: {names}; delete them first",
                    family=family,
                    names=", ".join(observed.name for observed in existing),
                )
            )

    def _claim(self, family: str, spec: Spec, image: Image) -> tuple[Allocation, OperationHandle]:
        made: list[Allocation] = []

        def attempt() -> OperationHandle | None:
            allocation, volumes = self.allocator.allocate(family, spec), self.volumes.claim(spec)
            made[:] = [allocation]
            operation = replace(
                self.versions.operation("create", family, 0),
                gpus=allocation.taken,
                ports=allocation.new_ports,
                image_id=image.id,
                volumes=volumes.names,
            )
            live = self.versions.begin(operation, 0, allocation.plan(operation), volumes)
            if live is None:
                self.check_absent(family)
            return live

        live = self.journal.compete(attempt)
        return made[0], live
