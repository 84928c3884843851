"""Make the next version of a container from an earlier one: what changes of GPUs, volumes, … have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from app.containers.binds import resolve_binds
from app.containers.cleanup import Cleanup
from app.containers.delete import outdated
from app.containers.migration import Source
from app.containers.transactions import ContainerResult, VersionStarter, claim_version, container_plan, vanished
from app.containers.undo import Undo
from app.errors import ContainerNotFound
from app.gpus.allocation import allocate
from app.model.container import Bind, ContainerPlan, Spec, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Parent
from app.operations.base import KindBase, Measure, Plan, Request, Unchanged, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.state.containers import FamilyState
from app.volumes.claims import VolumeClaim, claim_volumes, measure_volume


@dataclass(frozen=True, kw_only=True)
class ChangePlan(Plan):
    """The way to the next version: the family before it, the version it begins with, its files, its container.

    `freed` are the GPUs that are given up at the commit, `outdated` the older versions that are not kept then.
    """

    state: FamilyState
    origin: VersionRecord
    source: Source
    container: ContainerPlan
    freed: tuple[str, ...]
    merged: bool | None
    outdated: tuple[Request[object], ...] = ()


def newest_idle(reader: Reader, name: Name) -> FamilyState:
    """Read the family of `name`, its newest version, on which nobody works; refusals otherwise."""
    reader.operations.ensure_idle(name.family)
    return reader.records.newest(name)


def unchanged(state: FamilyState) -> Unchanged[ContainerResult]:
    """Answer with what is there."""
    return Unchanged(ContainerResult(state.current.container_id, state.current.name, changed=False))


def plan_next_version(
    reader: Reader,
    kind: Kind,
    state: FamilyState,
    change: Callable[[Spec], Spec] = lambda spec: spec,
    exchange: tuple[Bind, Bind] | None = None,
    version: int | None = None,
) -> ChangePlan:
    """Plan the version after the newest of `state`, which is stopped by it.

    `change` gives the new spec from that of `version` (None: the newest), `exchange` names a bind that is replaced and
    its replacement.
    """
    family, origin = state.record.family, _origin(reader, state, version)
    spec = resolve_binds(reader, change(origin.spec))
    source = _source(reader, state.current, origin)
    volumes = claim_volumes(reader, spec, exchange)
    allocation = allocate(reader, family, spec)
    draft = reader.draft(kind, family, state.current.version + 1, parent=source.parent)
    operation, claimed = claim_version(reader, draft, allocation, origin.image_id, volumes, state.revision)
    return ChangePlan(
        operation=operation,
        expected=claimed.expected,
        writes=claimed.writes,
        gpus=allocation.gpus,
        ports=allocation.ports,
        copies=_copies(reader, source, volumes),
        state=state,
        origin=origin,
        source=source,
        container=container_plan(operation, allocation, origin.image_id, origin.anonymous),
        freed=allocation.freed,
        merged=volumes.merged,
        outdated=outdated(reader, family),
    )


def _origin(reader: Reader, state: FamilyState, version: int | None) -> VersionRecord:
    if version in (None, state.current.version):
        return state.current
    return reader.records.version(Name(state.record.family, version))


def _source(reader: Reader, current: VersionRecord, origin: VersionRecord) -> Source:
    present = reader.containers.inspect(current.container_id)
    parent = Parent(current.version, present.id, present.running) if present else None
    if origin.removed and origin is not current:
        raise ContainerNotFound(
            Text("{name} was deleted and its files with it; choose another version", name=origin.name)
        )
    if origin.layer is not None:
        return Source(origin.layer, parent, moving=False)
    inspected = present if origin is current else reader.containers.inspect(origin.container_id)
    if inspected is None:
        raise vanished(origin.name)
    return Source(reader.layers.locate(inspected.id), parent, moving=origin is current)


def _copies(reader: Reader, source: Source, volumes: VolumeClaim) -> list[Measure]:
    merge = volumes.merge
    merged: list[Measure] = [lambda: measure_volume(reader.volumes, merge.source)] if merge else []
    return [lambda: reader.layers.measure(source.layer), *merged]


@dataclass(frozen=True)
class Recreate(KindBase):
    """Makes next versions. A failure before the commit is undone, and the old version runs again."""

    starter: VersionStarter
    undo: Undo
    cleanup: Cleanup

    def run(self, handle: OperationHandle, plan: ChangePlan) -> ContainerResult:
        """Create the next version, fill it, start it in the place of the old one."""
        container = self.starter.create(plan.container)
        write_out = self.starter.fill(handle, plan.source, container)
        made = self.starter.start(
            handle, plan.container, container, write_out, plan.state, plan.origin.version, plan.freed
        )
        return replace(made, merged=plan.merged)

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.undo.ways_out(operation)

    def after(self, plan: Plan, result: object) -> Iterator[Request[object]]:
        """Let go of files that were set aside, and of versions that are not kept."""
        if isinstance(plan, ChangePlan):
            self.cleanup.superseded(plan.state.current if plan.origin is plan.state.current else None)
            yield from plan.outdated
