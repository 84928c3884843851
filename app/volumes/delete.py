"""Delete a version of a volume: its data goes, or is set aside for the next version if the record is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import OperationFailed, VolumeDeleteFailed, VolumeInUse, VolumeNotFound
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import now
from app.model.volume import VolumeRecord
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.operations.journal import Journal, busy
from app.ports import Delete, Engine, Put, Volumes
from app.state.containers import Records
from app.state.keys import VOLUMES, family_key, version_key, versions_prefix
from app.state.volumes import VolumeRecords, VolumeState
from app.volumes.transactions import VolumeMaker


@dataclass(frozen=True)
class Target:
    """What a deletion is about: the family as recorded and the record of the version."""

    state: VolumeState
    record: VolumeRecord

    @property
    def newest(self) -> bool:
        """Whether the family's newest version is to go."""
        return self.record.version == self.state.record.current


@dataclass(frozen=True)
class VolumeDeleter:
    """Deletes versions of volumes, and older volumes whose family was erased."""

    records: VolumeRecords
    containers: Records
    journal: Journal
    maker: VolumeMaker
    engine: Engine
    volumes: Volumes

    def __post_init__(self) -> None:
        self.journal.register("delete", self._settle, VOLUMES)

    def delete(self, name: Name, force: bool, erase: bool) -> None:
        """Delete a version; one that stopped containers or kept records still name only with `force`.

        With `erase` the records go: the whole family's if it is the newest version, else this version's. Without,
        the record stays, and of the newest version the data too, so that a resize makes the next version of it.
        Raises VolumeInUse, always if a running container mounts it.
        """
        self.maker.ensure_idle(name.family)
        if self.records.find(name.family) is None:
            return self._delete_unrecorded(name, force)
        live, target = self._begin(name, force, erase)
        with self.journal.guard(live):
            try:
                return self._carry_out(live, target)
            except OperationFailed as exc:
                raise VolumeDeleteFailed(
                    Text("{name} could not be deleted: {why}", name=target.record.name, why=exc.message)
                ) from exc

    def tidy(self, names: Sequence[str]) -> None:
        """Remove what is left of deleted volumes among `names`, now that a container does not name them any more."""
        for name in names:
            family, _, version = name.rpartition("-")
            if version.isdecimal() and name in self.volumes.names(family) and not self.records.is_recorded(name):
                self.volumes.discard(name)

    def _delete_unrecorded(self, name: Name, force: bool) -> None:
        """An older volume of an erased family: only Docker's labels know it."""
        if name.version is None or str(name) not in self.volumes.names(name.family):
            raise VolumeNotFound(Text("there is no volume {name}; GET /api/v1/volumes lists them", name=str(name)))
        self._check_unused(str(name), force)
        self.volumes.discard(str(name))

    def _begin(self, name: Name, force: bool, erase: bool) -> tuple[OperationHandle, Target]:
        targets: list[Target] = []

        def attempt() -> OperationHandle | None:
            self.maker.ensure_idle(name.family)
            target = Target(self.records.require(name), self.records.version(name))
            if erase and target.newest:
                self.records.ensure_readable(name.family)  # each has something that goes with it
            if not force:
                self._check_users_known()
            targets[:] = [target]
            self._check_unused(target.record.name, force, keep=target.newest and not erase)
            entry = self.records.at(Name(name.family, target.record.version))
            if entry is None or entry[0] != target.record:
                return None
            operation = replace(self.maker.operation("delete", name.family, target.record.version), erase=erase)
            also = {version_key(VOLUMES, name.family, target.record.version): entry[1]}
            return self.maker.begin(Plan(operation), target.state.revision, also, [self.records.put(target.record)])

        return self.journal.compete(attempt), targets[0]

    def _check_unused(self, name: str, force: bool, keep: bool = False) -> None:
        for operation in self.journal.all_running():
            if name in operation.volumes:
                raise busy(operation)
        mounts = self.engine.mounts().get(name, ())
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
        users = sorted({*(mount.container for mount in mounts), *self._recorded_users(name)})
        if users and not force:
            raise VolumeInUse(
                Text(
                    "{name} is still used by {users}, which does not run; delete that first, or force it",
                    name=name,
                    users=", ".join(users),
                ),
                containers=users,
            )

    def _check_users_known(self) -> None:
        """Raise UnreadableRecord if there is a container of which nobody knows what it mounts."""
        for problem in self.containers.survey().problems:
            raise problem

    def _recorded_users(self, name: str) -> list[str]:
        """Containers that are deleted but on record: their next version would mount it."""
        families, versions = self.containers.everything()
        newest = [versions[f"{family.family}-{family.current}"] for family in families if family.desired == "removed"]
        return [record.name for record in newest if name in {bind.src for bind in record.spec.binds}]

    def _carry_out(self, live: OperationHandle, target: Target) -> None:
        record, aside = target.record, live.operation.layer or target.record.aside
        if target.newest and not live.operation.erase:
            if aside is None:
                live.step("setting aside")
                aside = self.volumes.set_aside(record.name)
                live.step("removing", aside)
            return live.commit(self._mark(target, aside))
        if target.newest:
            self.records.ensure_readable(record.family)
        live.step("removing")
        self.volumes.discard(record.name)
        gone = self.records.versions(record.family) if target.newest else [record]
        for place in {aside, *(version.aside for version in gone)} - {None}:
            self.volumes.discard_aside(str(place))
        return live.commit(self._forget(target) if live.operation.erase else self._mark(target, None))

    def _mark(self, target: Target, aside: str | None) -> list[Put]:
        return [self.records.put(replace(target.record, removed=now(), aside=aside)), *self._touch(target)]

    def _forget(self, target: Target) -> list[Put | Delete]:
        family = target.record.family
        if target.newest:
            return [Delete(family_key(VOLUMES, family)), Delete(versions_prefix(VOLUMES, family), prefix=True)]
        return [Delete(version_key(VOLUMES, family, target.record.version)), *self._touch(target)]

    def _touch(self, target: Target) -> list[Put]:
        return [self.records.put_family(replace(target.state.record, updated=now()))]

    def _settle(self, live: OperationHandle) -> None:
        """A deletion that broke: it is finished if it has begun to remove, and dropped otherwise."""
        name = Name(live.operation.family, live.operation.version)
        target = Target(self.records.require(name), self.records.version(name))
        if live.operation.step == "claimed":
            return live.abandon([])
        try:
            return self._carry_out(live, target)
        except VolumeInUse:  # somebody started a container on it meanwhile, before anything was removed
            return live.abandon([])
