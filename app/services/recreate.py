"""Give a container other GPUs or another volume: it comes back as the next version with everything in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.domain.containers import Bind, Inspected, Spec
from app.domain.gpus import check_count
from app.domain.naming import Name
from app.domain.operations import Parent
from app.domain.rules import check_binds
from app.errors import (
    BindNotFound,
    BindRefused,
    GpuChangeFailed,
    LayerCopyFailed,
    OperationFailed,
    RestartFailed,
    VolumeChangeFailed,
)
from app.ports import Engine, Layers
from app.services.allocation import Allocation, Allocator
from app.services.binds import Binds
from app.services.journal import Journal, Live
from app.services.records import FamilyState, Records
from app.services.retire import Retire
from app.services.undo import Undo
from app.services.versions import Made, Versions, vanished

Change = Callable[[Spec], Spec]


@dataclass(frozen=True)
class Source:
    """Where the old version's files are: in its container, or set aside by a deletion (then `parent` is None)."""

    layer: str
    parent: Parent | None


@dataclass(frozen=True)
class Recreator:
    """Makes the next version of a family from the newest one."""

    records: Records
    journal: Journal
    versions: Versions
    engine: Engine
    layers: Layers
    allocator: Allocator
    binds: Binds
    undo: Undo
    retire: Retire

    def __post_init__(self) -> None:
        for kind in ("gpu", "volume", "restart"):
            self.journal.register(kind, self.undo)

    def change_gpus(self, name: Name, count: int) -> Made:
        """Give the newest version `count` GPUs: what it holds is kept as far as possible, the rest added or freed.

        The same count changes nothing. A stopped container is started by the change. Raises GpuChangeFailed
        when a step fails for no fault of the caller; the old version is then as it was.
        """
        check_count(count)
        self.versions.ensure_idle(name.family)
        state = self.records.newest(name)
        if count == state.current.spec.gpu_count and state.record.desired != "removed":
            return Made(state.current.container_id, state.current.name, changed=False)
        try:
            return self._recreate(name, "gpu", lambda spec: spec.with_gpus(count))
        except OperationFailed as exc:
            raise GpuChangeFailed(f"the GPU change failed and was undone: {exc.message}") from exc

    def change_volume(self, name: Name, old: Bind, new: Bind) -> Made:
        """Mount the volume of `new` in the place of the bind `old`; every other bind stays.

        Equal binds change nothing. A stopped container is started by the change, with as many GPUs as before.
        Raises BindRefused for host directories, BindNotFound, VolumeNotFound, and VolumeChangeFailed when a
        step fails for no fault of the caller; the old version is then as it was.
        """
        (old,), (new,) = check_binds([old]), check_binds([new])
        self.versions.ensure_idle(name.family)
        state = self.records.newest(name)
        spec = state.current.spec
        self._check_exchange(spec, old, new)
        if old == new and state.record.desired != "removed":
            return Made(state.current.container_id, state.current.name, changed=False)
        check_binds(spec.with_bind(old, new).binds)
        try:
            return self._recreate(name, "volume", lambda spec: spec.with_bind(old, new))
        except OperationFailed as exc:
            raise VolumeChangeFailed(f"the volume change failed and was undone: {exc.message}") from exc

    def _check_exchange(self, spec: Spec, old: Bind, new: Bind) -> None:
        if not (old.is_volume and new.is_volume):
            raise BindRefused("only binds of volumes can be changed, not host directories; name a volume")
        if old not in spec.binds:
            binds = [f"{bind.src}:{bind.dest}" for bind in spec.binds]
            raise BindNotFound(f"the container has no bind {old.src}:{old.dest}; it has {binds}", binds=binds)

    def renew(self, name: Name) -> Made:
        """Bring a stopped or deleted container back as the next version with newly allocated GPUs."""
        try:
            return self._recreate(name, "restart", lambda spec: spec)
        except OperationFailed as exc:
            raise RestartFailed(f"the restart failed and was undone: {exc.message}") from exc

    def _recreate(self, name: Name, kind: str, change: Change) -> Made:
        state, source, allocation, live = self._claim(name, kind, change)
        with self.journal.guard(live):
            plan = self.versions.plan(live.operation, allocation, state.current.image_id, state.current.anonymous)
            self.engine.hold_image(plan.image_id)
            container = self.engine.create(plan)
            layer = upper_dir(self._inspect(container))
            self._carry(live, source, layer)
            live.step("starting")
            self.engine.start(container)
            self.layers.sync(layer)  # after the start, to keep the downtime short; before the commit, which promises it
            anonymous = self._inspect(container).anonymous
            record = self.versions.record(plan, container, anonymous, kind, state.current.version)
            self.versions.commit(live, record, state, allocation.freed)
        self.retire.superseded(state.current)
        return Made(container, plan.name)

    def _carry(self, live: Live, source: Source, layer: str) -> None:
        transfer = self.layers.begin(source.layer, layer)
        if source.parent and source.parent.running:
            transfer.copy_live()
            self.layers.sync(layer)  # or the start would wait for the disk, which is busy with what was copied
            live.step("stopping")
            self.engine.stop(source.parent.container_id)
        transfer.finish()

    def _claim(self, name: Name, kind: str, change: Change) -> tuple[FamilyState, Source, Allocation, Live]:
        made: list[tuple[FamilyState, Source, Allocation]] = []

        def attempt() -> Live | None:
            self.versions.ensure_idle(name.family)
            state = self.records.newest(name)
            spec = change(state.current.spec)
            spec = replace(spec, binds=self.binds.check(spec.binds))
            source = self._source(state)
            allocation = self.allocator.allocate(name.family, spec)
            made[:] = [(state, source, allocation)]
            operation = replace(
                self.versions.operation(kind, name.family, state.current.version + 1, source.parent),
                gpus=allocation.taken,
                ports=allocation.new_ports,
                image_id=state.current.image_id,
            )
            return self.versions.begin(operation, state.revision)

        live = self.journal.compete(attempt)
        return *made[0], live

    def _source(self, state: FamilyState) -> Source:
        current = state.current
        if current.layer is not None:
            return Source(current.layer, None)
        inspected = self.engine.inspect(current.container_id)
        if inspected is None:
            raise vanished(current.name)
        return Source(upper_dir(inspected), Parent(current.version, inspected.id, inspected.running))

    def _inspect(self, container: str) -> Inspected:
        inspected = self.engine.inspect(container)
        if inspected is None:
            raise OperationFailed("the new container vanished from Docker while it was being made")
        return inspected


def upper_dir(inspected: Inspected) -> str:
    """The container's writable layer; LayerCopyFailed if Docker's storage driver shows none."""
    if inspected.upper_dir is None:
        raise LayerCopyFailed("Docker's storage driver shows no writable layer; gpudock needs overlay2 (flask doctor)")
    return inspected.upper_dir
