"""Give a container other GPUs, another volume, or back what an earlier version had."""

from dataclasses import dataclass

from app.containers.recreate import Change, Recreator
from app.containers.transactions import ContainerResult, Versions
from app.errors import (
    BindNotFound,
    BindRefused,
    GpuChangeFailed,
    InvalidRequest,
    OperationFailed,
    RestartFailed,
    RollbackFailed,
    VolumeChangeFailed,
)
from app.model.container import Bind, Spec
from app.model.gpu import check_count
from app.model.messages import Text
from app.model.names import Name
from app.model.validation import check_binds
from app.state.containers import FamilyState, Records

KINDS = ("gpu", "volume", "restart", "rollback")


@dataclass(frozen=True)
class Changer:
    """What may be changed of a container; each change makes the next version, running, and keeps the old one.

    A stopped container is started by a change. Raises the change's own OperationFailed when a step fails for no
    fault of the caller; the old version is then as it was.
    """

    records: Records
    versions: Versions
    recreator: Recreator

    def __post_init__(self) -> None:
        for kind in KINDS:
            self.recreator.journal.register(kind, self.recreator.undo)

    def gpus(self, name: Name, count: int) -> ContainerResult:
        """Give it `count` GPUs: what it holds is kept as far as possible, the rest added or freed.

        The same count changes nothing.
        """
        check_count(count)
        state = self._newest(name)
        if count == state.current.spec.gpu_count and state.record.desired != "removed":
            return _unchanged(state)
        try:
            return self.recreator.recreate(name, Change("gpu", lambda spec: spec.with_gpus(count)))
        except OperationFailed as exc:
            raise GpuChangeFailed(Text("the GPU change failed and was undone: {why}", why=exc.message)) from exc

    def volume(self, name: Name, old: Bind, new: Bind) -> ContainerResult:
        """Mount the volume of `new` in the place of the bind `old`; every other bind stays.

        Equal binds change nothing. What was written to the old volume since the new one was made of it by a resize
        goes along, unless somebody has had the new one mounted. Raises BindRefused for host directories,
        BindNotFound, VolumeNotFound, VolumeTooSmall.
        """
        (old,), (new,) = check_binds([old]), check_binds([new])
        state = self._newest(name)
        _check_exchange(state.current.spec, old, new)
        if old == new and state.record.desired != "removed":
            return _unchanged(state)
        check_binds(state.current.spec.with_bind(old, new).binds)
        exchange = (old, new) if old != new else None
        try:
            return self.recreator.recreate(name, Change("volume", lambda spec: spec.with_bind(old, new), exchange))
        except OperationFailed as exc:
            raise VolumeChangeFailed(Text("the volume change failed and was undone: {why}", why=exc.message)) from exc

    def rollback(self, name: Name, version: int) -> ContainerResult:
        """Make the next version from the files and settings of an earlier one; back to the newest changes nothing.

        Its volumes are mounted as they are now: they have versions of their own.
        """
        state = self._newest(name)
        if not 0 <= version <= state.current.version:
            raise InvalidRequest(Text("version must be from 0 to {newest}, the newest", newest=state.current.version))
        if version == state.current.version and state.record.desired != "removed":
            return _unchanged(state)
        try:
            return self.recreator.recreate(name, Change("rollback", lambda spec: spec, version=version))
        except OperationFailed as exc:
            raise RollbackFailed(Text("going back failed and was undone: {why}", why=exc.message)) from exc

    def renew(self, name: Name) -> ContainerResult:
        """Bring a stopped or deleted container back with newly allocated GPUs."""
        try:
            return self.recreator.recreate(name, Change("restart", lambda spec: spec))
        except OperationFailed as exc:
            raise RestartFailed(Text("the restart failed and was undone: {why}", why=exc.message)) from exc

    def _newest(self, name: Name) -> FamilyState:
        self.versions.ensure_idle(name.family)
        return self.records.newest(name)


def _unchanged(state: FamilyState) -> ContainerResult:
    return ContainerResult(state.current.container_id, state.current.name, changed=False)


def _check_exchange(spec: Spec, old: Bind, new: Bind) -> None:
    if not (old.is_volume and new.is_volume):
        raise BindRefused(Text("only binds of volumes can be changed, not host directories; name a volume"))
    if old not in spec.binds:
        binds = [f"{each.src}:{each.dest}" for each in spec.binds]
        bind = f"{old.src}:{old.dest}"
        message = Text("the container has no bind {bind}; it has {binds}", bind=bind, binds=str(binds))
        raise BindNotFound(message, binds=binds)
