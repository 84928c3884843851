"""Make the next version of a container from an earlier one: plan, claim, create, copy, stop, start, commit, retire."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.containers.binds import Binds
from app.containers.cleanup import Cleanup
from app.containers.migration import Migrator, Source
from app.containers.prune import Pruner
from app.containers.transactions import ContainerResult, Versions, vanished
from app.containers.undo import Undo
from app.errors import ContainerNotFound, OperationFailed
from app.gpus.allocation import Allocation, Allocator
from app.model.container import Bind, Inspected, Spec, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Parent
from app.operations.handle import OperationHandle
from app.operations.journal import Journal
from app.ports import Containers, Images, Layers
from app.state.containers import FamilyState, Records
from app.volumes.claims import VolumeClaim, VolumeClaims


@dataclass(frozen=True)
class Change:
    """What makes the next version differ from the one it begins with.

    `spec` gives the new spec from that one's. `exchange` names the bind that is replaced and its replacement.
    `version` is the version to begin with, None for the newest.
    """

    kind: str
    spec: Callable[[Spec], Spec]
    exchange: tuple[Bind, Bind] | None = None
    version: int | None = None


@dataclass(frozen=True)
class Job:
    """A change that is claimed: the family before it, the version it begins with, its files, and what it may use."""

    state: FamilyState
    origin: VersionRecord
    source: Source
    allocation: Allocation
    volumes: VolumeClaim


@dataclass(frozen=True)
class Recreator:
    """Makes next versions. A failure before the commit is undone, and the old version runs again."""

    records: Records
    journal: Journal
    versions: Versions
    containers: Containers
    images: Images
    layers: Layers
    carrier: Migrator
    allocator: Allocator
    binds: Binds
    volumes: VolumeClaims
    undo: Undo
    retire: Cleanup
    pruner: Pruner

    def recreate(self, name: Name, change: Change) -> ContainerResult:
        """Carry `change` out on the newest version, which is stopped by it; the next one runs in the end."""
        job, live = self._claim(name, change)
        with self.journal.guard(live):
            made = self._make(job, live, change.kind)
        self.retire.superseded(job.state.current if job.origin is job.state.current else None)
        self.pruner.containers(name.family)
        return made

    def _make(self, job: Job, live: OperationHandle, kind: str) -> ContainerResult:
        plan = self.versions.plan(live.operation, job.allocation, job.origin.image_id, job.origin.anonymous)
        self.images.hold_image(plan.image_id)
        container = self.containers.create(plan)
        layer = self.layers.locate(container)
        write_out = self.carrier.carry(live, job.source, layer)
        live.step("starting")
        self.volumes.ensure_mounted(plan.spec)
        self.containers.start(container)
        write_out()  # after the start, to keep the downtime short; before the commit, which promises it
        record = self.versions.record(plan, container, self._inspect(container).anonymous, kind, job.origin.version)
        self.versions.commit(live, record, job.state, job.allocation.freed)
        return ContainerResult(container, plan.name, merged=job.volumes.merged)

    def _claim(self, name: Name, change: Change) -> tuple[Job, OperationHandle]:
        jobs: list[Job] = []

        def attempt() -> OperationHandle | None:
            self.versions.ensure_idle(name.family)
            job = self._plan(name, change)
            jobs[:] = [job]
            operation = replace(
                self.versions.operation(change.kind, name.family, job.state.current.version + 1, job.source.parent),
                gpus=job.allocation.taken,
                ports=job.allocation.new_ports,
                image_id=job.origin.image_id,
                volumes=job.volumes.names,
                merge=job.volumes.merge,
            )
            plan = job.allocation.plan(operation, self._copies(job))
            return self.versions.begin(operation, job.state.revision, plan, job.volumes)

        live = self.journal.compete(attempt)
        return jobs[0], live

    def _plan(self, name: Name, change: Change) -> Job:
        state = self.records.newest(name)
        origin = state.current
        if change.version not in (None, origin.version):
            origin = self.records.version(Name(name.family, change.version))
        spec = change.spec(origin.spec)
        spec = replace(spec, binds=self.binds.check(spec.binds))
        source = self._source(state.current, origin)
        volumes = self.volumes.claim(spec, change.exchange)
        return Job(state, origin, source, self.allocator.allocate(name.family, spec), volumes)

    def _source(self, current: VersionRecord, origin: VersionRecord) -> Source:
        running = self.containers.inspect(current.container_id)
        parent = Parent(current.version, running.id, running.running) if running else None
        if origin.removed and origin is not current:
            raise ContainerNotFound(
                Text("{name} was deleted and its files with it; choose another version", name=origin.name)
            )
        if origin.layer is not None:
            return Source(origin.layer, parent, moving=False)
        inspected = running if origin is current else self.containers.inspect(origin.container_id)
        if inspected is None:
            raise vanished(origin.name)
        return Source(self.layers.locate(inspected.id), parent, moving=origin is current)

    def _copies(self, job: Job) -> list[Callable[[], tuple[int, int]]]:
        merge = job.volumes.merge
        merged = [lambda: self.volumes.measure(merge.source)] if merge else []
        return [lambda: self.layers.measure(job.source.layer), *merged]

    def _inspect(self, container: str) -> Inspected:
        inspected = self.containers.inspect(container)
        if inspected is None:
            raise OperationFailed(Text("the new container vanished from Docker while it was being made"))
        return inspected
