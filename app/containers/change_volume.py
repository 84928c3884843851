"""Mount another volume in the place of one: the next version of the container, with everything that was in this one."""

from dataclasses import dataclass

from app.containers.recreate import ChangePlan, Recreate, newest_idle, plan_next_version, unchanged
from app.containers.transactions import ContainerResult
from app.errors import BindNotFound, BindRefused, OperationFailed, VolumeChangeFailed
from app.model.container import Bind, Spec
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind
from app.model.validation import check_binds
from app.operations.base import Request, Unchanged
from app.operations.reader import Reader


@dataclass(frozen=True)
class ChangeVolume(Request[ContainerResult]):
    """Mount the volume of `new` in the place of the bind `old`; every other bind stays. Equal binds change nothing."""

    name: Name
    old: Bind
    new: Bind


@dataclass(frozen=True)
class VolumeChange(Recreate):
    """Exchanges one volume of a container.

    What was written to the old volume since the new one was made of it by a resize goes along, unless somebody has
    had the new one mounted.
    """

    @staticmethod
    def plan(reader: Reader, request: ChangeVolume) -> ChangePlan | Unchanged[ContainerResult]:
        """Check the exchange; BindRefused for host directories, BindNotFound, VolumeNotFound, VolumeTooSmall."""
        (old,), (new,) = check_binds([request.old]), check_binds([request.new])
        state = newest_idle(reader, request.name)
        _check_exchange(state.current.spec, old, new)
        if old == new and state.record.desired != "removed":
            return unchanged(state)
        check_binds(state.current.spec.with_bind(old, new).binds)
        exchange = (old, new) if old != new else None
        return plan_next_version(reader, Kind.VOLUME, state, lambda spec: spec.with_bind(old, new), exchange)

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Say that the change of the volume failed."""
        return VolumeChangeFailed(Text("the volume change failed and was undone: {why}", why=error.message))


def _check_exchange(spec: Spec, old: Bind, new: Bind) -> None:
    if not (old.is_volume and new.is_volume):
        raise BindRefused(Text("only binds of volumes can be changed, not host directories; name a volume"))
    if old not in spec.binds:
        binds = [f"{each.src}:{each.dest}" for each in spec.binds]
        bind = f"{old.src}:{old.dest}"
        message = Text("the container has no bind {bind}; it has {binds}", bind=bind, binds=str(binds))
        raise BindNotFound(message, binds=binds)
