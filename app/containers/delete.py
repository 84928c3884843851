"""Delete a version: its container goes, and either its record too or its files are set aside for the next version."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from app.containers.cleanup import Cleanup
from app.containers.desired import parent_of
from app.containers.effects import parent_left, removed
from app.containers.transactions import claim
from app.errors import ContainerNotFound, ContainerRunning, DeleteFailed, OperationFailed
from app.model.container import Inspected, Observed, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Parent, Step, now
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.effects import freed, still_running, volumes_left
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Containers, Delete, Layers, Put
from app.state.containers import FamilyState, Records
from app.state.keys import CONTAINERS, family_key, version_key, versions_prefix
from app.volumes.delete import VolumeDiscarder


@dataclass(frozen=True)
class DeleteContainer(Request[None]):
    """Delete a version, a running one only with `force`.

    With `erase` the records go: the whole family's if it is the newest version, else this version's. Without, its
    record and its files stay, so that the family can go on.
    """

    name: Name
    force: bool
    erase: bool


@dataclass(frozen=True, kw_only=True)
class DeletePlan(Plan):
    """The version that is deleted: its versioned name and the Docker volumes that it bound."""

    name: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Target:
    """The records of what is deleted: the family, and the version."""

    state: FamilyState
    record: VersionRecord

    @property
    def newest(self) -> bool:
        """Tell if the family's newest version is to go."""
        return self.record.version == self.state.record.current


@dataclass(frozen=True)
class DeleteVersion(KindBase):
    """Deletes versions of families, and older containers whose family was erased.

    From its first step on a deletion is finished, never undone.
    """

    records: Records
    containers: Containers
    layers: Layers
    cleanup: Cleanup
    discarder: VolumeDiscarder

    @staticmethod
    def plan(reader: Reader, request: DeleteContainer) -> DeletePlan:
        """Find what is to be deleted; ContainerRunning without `force`."""
        reader.operations.ensure_idle(request.name.family)
        if reader.records.find(request.name.family) is None:
            return _plan_unrecorded(reader, request)
        state, record = reader.records.require(request.name), reader.records.version(request.name)
        if request.erase and record.version == state.record.current:
            reader.records.ensure_readable(record.family)  # each version has something that goes with it
        inspected = reader.containers.inspect(record.container_id)
        running = inspected is not None and inspected.running
        if running and not request.force:
            raise _running(record.name)
        parent = Parent(record.version, record.container_id, running)
        return _plan(reader, request, parent, record.name, state.revision, tuple(record.spec.volumes))

    def run(self, handle: OperationHandle, plan: DeletePlan) -> None:
        """Delete it."""
        try:
            self._finish(handle)
        except OperationFailed as exc:
            raise DeleteFailed(Text("{name} could not be deleted: {why}", name=plan.name, why=exc.message)) from exc

    def recover(self, handle: OperationHandle) -> None:
        """Finish a deletion that has begun to remove, and drop any other."""
        if handle.operation.step == Step.CLAIMED:
            handle.end_undone()
        else:
            self._finish(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to finish the deletion, or to leave what is there."""
        target, found = self._target(operation), self.containers.inspect(parent_of(operation).container_id)
        finish = [*self._removal(found), *self._recorded(operation, target)]
        stays = list(parent_left(self.containers, self.records, operation))
        left = WayOut(stays)
        if operation.layer and target and target.newest and not operation.erase:
            # Its files are not in the container any more: only the record can tell the next version where they are.
            runs = still_running([found.name] if found and found.running else [])
            left = WayOut([*stays[:1], *self._recorded(operation, target)], self._forget_removal, runs)
        begun = Text("a deletion that has begun to remove cannot be undone; finish it, or forget it")
        undo = left if operation.step == Step.CLAIMED else WayOut(refusal=begun)
        return {Resolution.FINISH: WayOut(finish, self._finish), Resolution.UNDO: undo, Resolution.FORGET: left}

    def _removal(self, found: Inspected | None) -> Iterator[Text]:
        if found is not None:
            yield removed(found)

    def _recorded(self, operation: Operation, target: _Target | None) -> list[Text]:
        """Say what a deletion does to records, and what becomes free with them."""
        if target is None:
            return []
        name, family = target.record.name, target.state.record.family
        if operation.erase and target.newest:
            told = Text(
                "removes every record of {family}, with what was set aside and anonymous volumes", family=family
            )
        elif operation.erase:
            told = Text("removes the record of {name}, with what was set aside and anonymous volumes", name=name)
        elif target.newest:
            told = Text("keeps the record of {name} as deleted, and its files for the next version", name=name)
        else:
            told = Text("keeps the record of {name} as deleted, without files", name=name)
        claims = self.records.claims()
        held = (claims.gpus_of(family), claims.ports_of(family)) if target.newest else ((), ())
        return [told, *volumes_left(target.record.spec.volumes), *freed(*held)]

    def _forget_removal(self, handle: OperationHandle) -> None:
        if target := self._target(handle.operation):
            self._keep_record(handle, target)

    def after(self, plan: Plan, result: object) -> Iterable[Request[object]]:
        """Remove what is left of deleted volumes, now that the container does not name them any more."""
        if isinstance(plan, DeletePlan):
            self.discarder.discard_unrecorded(plan.volumes)
        return ()

    def _finish(self, handle: OperationHandle) -> None:
        operation = handle.operation
        container = parent_of(operation).container_id
        inspected = self.containers.inspect(container)
        target = self._target(operation)
        if inspected is not None:
            self.containers.stop(container)
            self._set_aside(handle, target, inspected)
            self.containers.remove(container)
        volumes = list(inspected.anonymous.values()) if inspected else []
        if target is None:
            self.cleanup.empty([], volumes)
            handle.commit([])
        elif operation.erase:
            self._erase(handle, target, volumes)
        else:
            self._keep_record(handle, target)

    def _target(self, operation: Operation) -> _Target | None:
        """Read what is recorded; None for a container of an erased family, which only Docker's labels know."""
        if self.records.find(operation.family) is None:
            return None
        name = Name(operation.family, operation.version)
        return _Target(self.records.require(name), self.records.version(name))

    def _set_aside(self, handle: OperationHandle, target: _Target | None, inspected: Inspected) -> None:
        """Move the newest version's files out of Docker's reach: the next one begins with them."""
        if handle.operation.erase or target is None or not target.newest:
            return handle.step(Step.REMOVING)
        if handle.operation.layer is None:
            layer, name = self.layers.locate(inspected.id), f"{target.record.name}-{inspected.id[:12]}"
            handle.step(Step.SETTING_ASIDE)
            handle.step(Step.REMOVING, self.layers.set_aside(layer, name))
        return None

    def _keep_record(self, handle: OperationHandle, target: _Target) -> None:
        record = replace(target.record, removed=now(), layer=handle.operation.layer or target.record.layer)
        family = target.state.record
        if target.newest:
            family = replace(family, desired="removed", updated=now())
        handle.commit([self.records.put(record), self.records.put_family(family), *self._claims_of(target)])

    def _erase(self, handle: OperationHandle, target: _Target, volumes: list[str]) -> None:
        family = target.state.record.family
        if target.newest:
            self.records.ensure_readable(family)
            gone = self.records.versions(family)
            writes: list[Put | Delete] = [
                Delete(family_key(CONTAINERS, family)),
                Delete(versions_prefix(CONTAINERS, family), prefix=True),
            ]
        else:
            gone = [target.record]
            writes = [
                Delete(version_key(CONTAINERS, family, target.record.version)),
                self.records.put_family(replace(target.state.record, updated=now())),
            ]
        # What they held goes first: once the records are gone, nobody would know of it if this process died. And from
        # here on the deletion is finished, also where there was no container to remove.
        if handle.operation.step != Step.REMOVING:
            handle.step(Step.REMOVING)
        self.cleanup.empty(gone, volumes)
        handle.commit([*writes, *self._claims_of(target)])
        self.cleanup.erased(gone)

    def _claims_of(self, target: _Target) -> list[Delete]:
        if not target.newest:
            return []
        claims, family = self.records.claims(), target.record.family
        return self.records.release(claims.gpus_of(family), claims.ports_of(family))


def _plan(
    reader: Reader, request: DeleteContainer, parent: Parent, name: str, revision: int, volumes: tuple[str, ...] = ()
) -> DeletePlan:
    operation = reader.draft(Kind.DELETE, request.name.family, parent.version, parent=parent)
    operation = replace(operation, erase=request.erase)
    claimed = claim(reader, operation, revision)
    return DeletePlan(operation=operation, expected=claimed.expected, writes=claimed.writes, name=name, volumes=volumes)


def _plan_unrecorded(reader: Reader, request: DeleteContainer) -> DeletePlan:
    """Plan the deletion of an older container of an erased family: only Docker's labels know it."""
    observed = _unrecorded(reader, request.name)
    if observed.running and not request.force:
        raise _running(observed.name)
    version = observed.labels.version if observed.labels else 0
    return _plan(reader, request, Parent(version, observed.id, observed.running), observed.name, revision=0)


def _unrecorded(reader: Reader, name: Name) -> Observed:
    for observed in reader.containers.list(family=name.family):
        if name.version is not None and observed.name == str(name):
            return observed
    raise ContainerNotFound(Text("there is no container {name}; GET /api/v1/containers lists them", name=str(name)))


def _running(name: str) -> ContainerRunning:
    return ContainerRunning(Text("{name} is running; stop it first, or delete it with force", name=name))


def outdated(reader: Reader, family: str) -> tuple[DeleteContainer, ...]:
    """List the deletions that are due once a container has one more version. One that runs is refused, and so kept."""
    keep = reader.settings.keep_versions
    if not keep:
        return ()
    versions = [record.version for record in reader.records.versions(family)]
    gone = versions[: max(0, len(versions) + 1 - keep)]
    return tuple(DeleteContainer(Name(family, version), force=False, erase=True) for version in gone)
