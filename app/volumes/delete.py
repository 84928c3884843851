"""Delete a version of a volume: its data goes, or is set aside for the next version if the record is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.errors import OperationFailed, VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Step, now
from app.model.volume import VolumeRecord
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Delete, Put, Volumes
from app.state.keys import VOLUMES, family_key, version_key, versions_prefix
from app.state.operations import busy
from app.state.volumes import VolumeRecords, VolumeState


@dataclass(frozen=True)
class DeleteVolume(Request[None]):
    """Delete a version; one that stopped containers or kept records still name only with `force`.

    With `erase` the records go: the whole family's if it is the newest version, else this version's. Without, the
    record stays, and of the newest version the data too, so that a resize makes the next version of it.
    """

    name: Name
    force: bool
    erase: bool


@dataclass(frozen=True)
class _Target:
    """The records of what is deleted: the family, and the version."""

    state: VolumeState
    record: VolumeRecord

    @property
    def newest(self) -> bool:
        """Tell if the family's newest version is to go."""
        return self.record.version == self.state.record.current


@dataclass(frozen=True)
class VolumeDelete(KindBase):
    """Deletes versions of volumes, and older volumes whose family was erased."""

    records: VolumeRecords
    volumes: Volumes

    @staticmethod
    def plan(reader: Reader, request: DeleteVolume) -> Plan:
        """Find what is to be deleted; VolumeInUse, always if a running container mounts it."""
        name, records = request.name, reader.volume_records
        reader.operations.ensure_idle(name.family, VOLUMES)
        if records.find(name.family) is None:
            return _plan_unrecorded(reader, request)
        target = _Target(records.require(name), records.version(name))
        if request.erase and target.newest:
            records.ensure_readable(name.family)  # each version has something that goes with it
        _check_unused(reader, target.record.name, request.force, keep=target.newest and not request.erase)
        entry = records.at(Name(name.family, target.record.version))
        revision = entry[1] if entry else 0
        version = version_key(VOLUMES, name.family, target.record.version)
        return Plan(
            operation=_draft(reader, request, target.record.version),
            expected={family_key(VOLUMES, name.family): target.state.revision, version: revision},
            writes=[records.put(entry[0])] if entry else (),
        )

    def run(self, handle: OperationHandle, plan: Plan) -> None:
        """Delete it."""
        try:
            self._finish(handle)
        except OperationFailed as exc:
            name = handle.operation.name
            raise VolumeDeleteFailed(Text("{name} could not be deleted: {why}", name=name, why=exc.message)) from exc

    def recover(self, handle: OperationHandle) -> None:
        """Finish a deletion that has begun to remove, and drop any other."""
        if handle.operation.step == Step.CLAIMED:
            return handle.end_undone()
        try:
            return self._finish(handle)
        except VolumeInUse:  # somebody started a container on it meanwhile, before anything was removed
            return handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to finish the deletion, or to leave what is there."""
        target, name = self._target(operation), operation.name
        there = name in self.volumes.names(operation.family)
        keep = target is not None and target.newest and not operation.erase
        forget = WayOut([Text("leaves volume {name} and its record as they are", name=name)])
        if keep and operation.layer:  # the volume is gone, and only the record can tell the next version of its data
            forget = WayOut([*_recorded(operation, target)], self._finish)
        begun = Text("a deletion that has begun to remove cannot be undone; finish it, or forget it")
        return {
            Resolution.FINISH: WayOut([*_removal(name, there, keep), *_recorded(operation, target)], self._finish),
            Resolution.UNDO: forget if operation.step == Step.CLAIMED else WayOut(refusal=begun),
            Resolution.FORGET: forget,
        }

    def _finish(self, handle: OperationHandle) -> None:
        operation = handle.operation
        target = self._target(operation)
        if target is None:
            handle.step(Step.REMOVING)
            self.volumes.discard(operation.name)
            return handle.commit([])
        if target.newest and not operation.erase:
            return self._set_aside(handle, target)
        if target.newest:
            self.records.ensure_readable(target.record.family)
        handle.step(Step.REMOVING)
        self.volumes.discard(target.record.name)
        gone = self.records.versions(target.record.family) if target.newest else [target.record]
        for path in {operation.layer or target.record.aside, *(version.aside for version in gone)} - {None}:
            self.volumes.discard_aside(str(path))
        return handle.commit(self._forget(target) if operation.erase else self._mark(target, None))

    def _target(self, operation: Operation) -> _Target | None:
        """Read what is recorded; None for a volume of an erased family, which only Docker's labels know."""
        if self.records.find(operation.family) is None:
            return None
        name = Name(operation.family, operation.version)
        return _Target(self.records.require(name), self.records.version(name))

    def _set_aside(self, handle: OperationHandle, target: _Target) -> None:
        """Keep the record, and the data out of Docker's reach."""
        aside = handle.operation.layer or target.record.aside
        if aside is None:
            handle.step(Step.SETTING_ASIDE)
            aside = self.volumes.set_aside(target.record.name, target.record.driver)
            handle.step(Step.REMOVING, aside)
        handle.commit(self._mark(target, aside))

    def _mark(self, target: _Target, aside: str | None) -> list[Put]:
        return [self.records.put(replace(target.record, removed=now(), aside=aside)), self._touch(target)]

    def _forget(self, target: _Target) -> list[Put | Delete]:
        family = target.record.family
        if target.newest:
            return [Delete(family_key(VOLUMES, family)), Delete(versions_prefix(VOLUMES, family), prefix=True)]
        return [Delete(version_key(VOLUMES, family, target.record.version)), self._touch(target)]

    def _touch(self, target: _Target) -> Put:
        return self.records.put_family(replace(target.state.record, updated=now()))


@dataclass(frozen=True)
class VolumeDiscarder:
    """Removes what is left of deleted volumes once no container names them any more."""

    records: VolumeRecords
    volumes: Volumes

    def discard_unrecorded(self, names: Sequence[str]) -> None:
        """Remove those among `names` that gpudock made and that are not on record."""
        for name in names:
            family, _, version = name.rpartition("-")
            if version.isdecimal() and name in self.volumes.names(family) and not self.records.is_recorded(name):
                self.volumes.discard(name)


def _removal(name: str, there: bool, keep: bool) -> Iterator[Text]:
    if there and keep:
        yield Text("removes volume {name} and sets its data aside", name=name)
    elif there:
        yield Text("removes volume {name} and its data, unless a running container mounts it", name=name)


def _recorded(operation: Operation, target: _Target | None) -> Iterator[Text]:
    """Say what a deletion does to records."""
    if target is None:
        return
    name = target.record.name
    if operation.erase and target.newest:
        yield Text("removes every record of volume {family}, with what was set aside", family=operation.family)
    elif operation.erase:
        yield Text("removes the record of volume {name}", name=name)
    elif target.newest:
        yield Text("keeps the record of volume {name} as deleted, and its data for the next version", name=name)
    else:
        yield Text("keeps the record of volume {name} as deleted, without data", name=name)


def _draft(reader: Reader, request: DeleteVolume, version: int) -> Operation:
    return replace(reader.draft(Kind.DELETE, request.name.family, version, VOLUMES), erase=request.erase)


def _plan_unrecorded(reader: Reader, request: DeleteVolume) -> Plan:
    """Plan the deletion of an older volume of an erased family: only Docker's labels know it."""
    name = request.name
    if name.version is None or str(name) not in reader.volumes.names(name.family):
        raise VolumeNotFound(Text("there is no volume {name}; GET /api/v1/volumes lists them", name=str(name)))
    _check_unused(reader, str(name), request.force)
    operation = _draft(reader, request, name.version)
    return Plan(operation=operation, expected={family_key(VOLUMES, name.family): 0})


def _check_unused(reader: Reader, name: str, force: bool, keep: bool = False) -> None:
    for operation in reader.operations.all_running():
        if name in operation.volumes:
            raise busy(operation)
    mounts = reader.containers.mounts().get(name, ())
    if running := sorted(mount.container for mount in mounts if mount.running):
        message = Text("{name} is mounted by {users}; stop or move that first", name=name, users=", ".join(running))
        raise VolumeInUse(message, containers=running)
    if keep and mounts:
        keepers = sorted(mount.container for mount in mounts)
        raise VolumeInUse(
            Text(
                "Docker keeps {name} for {users}; delete that first, "
                "or delete the volume with its record (delEtcdInfoAndVersionRecord)",
                name=name,
                users=", ".join(keepers),
            ),
            containers=keepers,
        )
    if not force:
        _check_users_known(reader)
    users = sorted({*(mount.container for mount in mounts), *_recorded_users(reader, name)})
    if users and not force:
        raise VolumeInUse(
            Text(
                "{name} is still used by {users}, which does not run; delete that first, or force it",
                name=name,
                users=", ".join(users),
            ),
            containers=users,
        )


def _check_users_known(reader: Reader) -> None:
    """Raise UnreadableRecord if there is a container of which nobody knows what it mounts."""
    for problem in reader.records.survey().problems:
        raise problem


def _recorded_users(reader: Reader, name: str) -> list[str]:
    """Containers that are deleted but on record: their next version would mount it."""
    families, versions = reader.records.everything()
    newest = [versions[f"{family.family}-{family.current}"] for family in families if family.desired == "removed"]
    return [record.name for record in newest if name in record.spec.volumes]


def outdated(reader: Reader, family: str) -> tuple[DeleteVolume, ...]:
    """List the deletions that are due once a volume has one more version. One that is used is refused, and so kept."""
    keep = reader.settings.keep_versions
    if not keep:
        return ()
    versions = [record.version for record in reader.volume_records.versions(family)]
    gone = versions[: max(0, len(versions) + 1 - keep)]
    return tuple(DeleteVolume(Name(family, version), force=False, erase=True) for version in gone)
