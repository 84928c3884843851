"""Delete a version: its container goes, and either its record too or its files are set aside for the next version."""

from dataclasses import dataclass, replace

from app.containers.cleanup import Cleanup
from app.containers.migration import upper_dir
from app.containers.transactions import Versions
from app.errors import ContainerNotFound, ContainerRunning, DeleteFailed, OperationFailed
from app.model.container import Observed, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Parent, now
from app.operations.handle import OperationHandle
from app.operations.journal import Journal
from app.ports import Delete, Engine, Layers, Put
from app.state.containers import FamilyState, Records
from app.state.keys import CONTAINERS, family_key, version_key, versions_prefix
from app.volumes.delete import VolumeDeleter


@dataclass(frozen=True)
class Target:
    """What a deletion is about: the family as recorded and the record of the version."""

    state: FamilyState
    record: VersionRecord

    @property
    def newest(self) -> bool:
        """Whether the family's newest version is to go."""
        return self.record.version == self.state.record.current


@dataclass(frozen=True)
class Deleter:
    """Deletes versions of families, and older containers whose family was erased."""

    records: Records
    journal: Journal
    versions: Versions
    engine: Engine
    layers: Layers
    retire: Cleanup
    volumes: VolumeDeleter

    def __post_init__(self) -> None:
        self.journal.register("delete", self._settle)

    def delete(self, name: Name, force: bool, erase: bool) -> None:
        """Delete a version, a running one only with `force`.

        With `erase` the records go: the whole family's if it is the newest version, else this version's.
        Without, its record and its files stay, so that the family can go on.
        """
        self.versions.ensure_idle(name.family)
        if self.records.find(name.family) is None:
            return self._delete_unrecorded(name, force)
        live, target = self._begin(name, force, erase)
        with self.journal.guard(live):
            try:
                self._carry_out(live, target)
            except OperationFailed as exc:
                raise DeleteFailed(
                    Text("{name} could not be deleted: {why}", name=target.record.name, why=exc.message)
                ) from exc
        return self.volumes.tidy([bind.src for bind in target.record.spec.binds])

    def _delete_unrecorded(self, name: Name, force: bool) -> None:
        """An older container of an erased family: only Docker's labels know it."""
        observed = self._unrecorded(name)
        if observed.running and not force:
            raise _running(observed.name)
        inspected = self.engine.inspect(observed.id)
        self.engine.stop(observed.id)
        self.engine.remove(observed.id)
        self.retire.empty([], list(inspected.anonymous.values()) if inspected else [])

    def _unrecorded(self, name: Name) -> Observed:
        for observed in self.engine.list(family=name.family):
            if name.version is not None and observed.name == str(name):
                return observed
        raise ContainerNotFound(Text("there is no container {name}; GET /api/v1/containers lists them", name=str(name)))

    def _begin(self, name: Name, force: bool, erase: bool) -> tuple[OperationHandle, Target]:
        targets: list[Target] = []

        def attempt() -> OperationHandle | None:
            self.versions.ensure_idle(name.family)
            target = Target(self.records.require(name), self.records.version(name))
            if erase and target.newest:
                self.records.ensure_readable(name.family)  # each has something that goes with it
            targets[:] = [target]
            inspected = self.engine.inspect(target.record.container_id)
            running = inspected is not None and inspected.running
            if running and not force:
                raise _running(target.record.name)
            parent = Parent(target.record.version, target.record.container_id, running)
            operation = self.versions.operation("delete", name.family, target.record.version, parent)
            return self.versions.begin(replace(operation, erase=erase), target.state.revision)

        return self.journal.compete(attempt), targets[0]

    def _carry_out(self, live: OperationHandle, target: Target) -> None:
        container = target.record.container_id
        inspected = self.engine.inspect(container)
        volumes = list(inspected.anonymous.values()) if inspected else []
        if inspected is not None:
            self.engine.stop(container)
            self._set_aside(live, target)
            self.engine.remove(container)
        if live.operation.erase:
            self._erase(live, target, volumes)
        else:
            self._keep_record(live, target)

    def _set_aside(self, live: OperationHandle, target: Target) -> None:
        """Move the newest version's files out of Docker's reach: the next one begins with them. From its first step on
        the deletion is finished, never undone.
        """
        if live.operation.erase or not target.newest:
            return live.step("removing")
        inspected = self.engine.inspect(target.record.container_id)
        if inspected is not None and live.operation.layer is None:
            layer, name = upper_dir(inspected), f"{target.record.name}-{inspected.id[:12]}"
            live.step("setting aside")
            live.step("removing", self.layers.set_aside(layer, name))
        return None

    def _keep_record(self, live: OperationHandle, target: Target) -> None:
        record = replace(target.record, removed=now(), layer=live.operation.layer or target.record.layer)
        family = target.state.record
        if target.newest:
            family = replace(family, desired="removed", updated=now())
        live.commit([self.records.put(record), self.records.put_family(family), *self._claims_of(target)])

    def _erase(self, live: OperationHandle, target: Target, volumes: list[str]) -> None:
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
            state = replace(target.state.record, updated=now())
            writes = [
                Delete(version_key(CONTAINERS, family, target.record.version)),
                self.records.put_family(state),
            ]
        # What they held goes first: once the records are gone, nobody would know of it if this process died. And from
        # here on the deletion is finished, also where there was no container to remove.
        if live.operation.step != "removing":
            live.step("removing")
        self.retire.empty(gone, volumes)
        live.commit([*writes, *self._claims_of(target)])
        self.retire.erased(gone)

    def _claims_of(self, target: Target) -> list[Delete]:
        if not target.newest:
            return []
        claims = self.records.claims()
        family = target.record.family
        return self.records.release(claims.gpus_of(family), claims.ports_of(family))

    def _settle(self, live: OperationHandle) -> None:
        """A deletion that broke: it is finished if it has begun to remove, and dropped otherwise."""
        begun = live.operation.step != "claimed"
        name = Name(live.operation.family, live.operation.version)
        target = Target(self.records.require(name), self.records.version(name))
        if begun:
            self._carry_out(live, target)
        else:
            live.abandon([])


def _running(name: str) -> ContainerRunning:
    return ContainerRunning(Text("{name} is running; stop it first, or delete it with force", name=name))
