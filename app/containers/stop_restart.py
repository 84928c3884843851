"""Stop a container, which frees its GPUs, and start it again."""

from dataclasses import dataclass, replace

from app.containers.change import Changer
from app.containers.transactions import ContainerResult, Versions, vanished
from app.errors import (
    Conflict,
    ContainerNotFound,
    OperationFailed,
    RestartFailed,
    StartRefused,
    StopFailed,
    VolumeNotFound,
)
from app.model.messages import Text
from app.model.names import Name, versioned
from app.model.operation import Parent, now
from app.operations.handle import OperationHandle
from app.operations.journal import Journal
from app.ports import Delete, Engine
from app.state.containers import FamilyState, Records
from app.volumes.claims import VolumeClaims


@dataclass(frozen=True)
class Lifecycle:
    """Stops and restarts the newest version of a family."""

    records: Records
    journal: Journal
    versions: Versions
    engine: Engine
    changer: Changer
    volumes: VolumeClaims

    def __post_init__(self) -> None:
        self.journal.register("stop", self._settle_stop)
        for kind in ("start", "resume"):
            self.journal.register(kind, self._settle_start)

    def stop(self, name: Name) -> ContainerResult:
        """Stop it and free its GPUs; its host ports stay its own. Stopping a stopped one changes nothing."""
        self.versions.ensure_idle(name.family)
        state = self._present(name)
        made = ContainerResult(state.current.container_id, state.current.name)
        if state.record.desired == "stopped" and not self._runs(state):
            return ContainerResult(made.id, made.name, changed=False)
        live = self._begin("stop", name)
        with self.journal.guard(live):
            try:
                if _parent(live).running:  # what is gone from Docker can still be stopped, to free its GPUs
                    self.engine.stop(made.id)
            except OperationFailed as exc:
                raise StopFailed(Text("{name} could not be stopped: {why}", name=made.name, why=exc.message)) from exc
            self._commit(live, "stopped")
        return made

    def restart(self, name: Name) -> ContainerResult:
        """Restart it in place if it holds what it needs; otherwise as the next version with new GPUs."""
        self.versions.ensure_idle(name.family)
        state = self.records.newest(name)
        gone = state.record.desired == "removed"
        if gone or (state.record.desired == "stopped" and state.current.spec.gpu_count):
            return self.changer.renew(name)
        if self.engine.inspect(state.current.container_id) is None:
            raise vanished(state.current.name)
        return self._restart_in_place(name)

    def _restart_in_place(self, name: Name) -> ContainerResult:
        live = self._begin("start", name)
        made = ContainerResult(_parent(live).container_id, versioned(live.operation.family, live.operation.version))
        with self.journal.guard(live):
            try:
                self.engine.stop(made.id)
                self._start(name.family, made.id)
            except OperationFailed as exc:
                raise RestartFailed(
                    Text("{name} could not be restarted: {why}", name=made.name, why=exc.message)
                ) from exc
            self._commit(live, "running")
        return made

    def resume(self, name: Name) -> None:
        """Start the newest version, which should run and does not, as it is; Conflict if it should not any more.

        Raises StartFailed, StartRefused, VolumeNotFound.
        """
        live = self._begin("resume", name)
        with self.journal.guard(live):
            if not _parent(live).running:
                self._start(name.family, _parent(live).container_id)
            self._commit(live, "running")

    def _start(self, family: str, container: str) -> None:
        self.volumes.ready(self.records.require(Name(family)).current.spec)
        self.engine.start(container)

    def _begin(self, kind: str, name: Name) -> OperationHandle:
        def attempt() -> OperationHandle | None:
            self.versions.ensure_idle(name.family)
            state = self._present(name)
            if kind == "resume" and state.record.desired != "running":
                raise Conflict(Text("{name} shall not run any more", name=state.current.name))
            parent = Parent(state.current.version, state.current.container_id, self._runs(state))
            operation = self.versions.operation(kind, name.family, state.current.version, parent)
            return self.versions.begin(operation, state.revision)

        return self.journal.compete(attempt)

    def _present(self, name: Name) -> FamilyState:
        state = self.records.newest(name)
        if state.record.desired == "removed":
            gone = Text("{name} was deleted; restart brings it back as the next version", name=state.current.name)
            raise ContainerNotFound(gone)
        return state

    def _runs(self, state: FamilyState) -> bool:
        inspected = self.engine.inspect(state.current.container_id)
        return inspected is not None and inspected.running

    def _commit(self, live: OperationHandle, desired: str) -> None:
        state = self.records.find(live.operation.family)
        if state is None:
            raise OperationFailed(Text("the container's record vanished from etcd during the operation"))
        family = replace(state.record, desired=desired, updated=now())
        live.commit([self.records.put_family(family), *self._freed(state, desired)])

    def _freed(self, state: FamilyState, desired: str) -> list[Delete]:
        if desired == "running":
            return []
        return self.records.release(self.records.claims().gpus_of(state.record.family), ())

    def _settle_stop(self, live: OperationHandle) -> None:
        """A stop that broke: it counts if the container does not run."""
        live.step("settling")
        inspected = self.engine.inspect(_parent(live).container_id)
        if inspected is None or not inspected.running:
            self._commit(live, "stopped")
        else:
            live.abandon([])

    def _settle_start(self, live: OperationHandle) -> None:
        """A restart that broke: what ran before shall run again, and what runs now was started."""
        live.step("settling")
        parent = _parent(live)
        inspected = self.engine.inspect(parent.container_id)
        if inspected is not None and not inspected.running and parent.running:
            self._start_again(live.operation.family, parent)
            inspected = self.engine.inspect(parent.container_id)
        if inspected is not None and inspected.running:
            self._commit(live, "running")
        else:
            live.abandon([])

    def _start_again(self, family: str, parent: Parent) -> None:
        try:
            self._start(family, parent.container_id)
        except (OperationFailed, StartRefused, VolumeNotFound):
            return  # the operation ends as undone and the container is shown as exited


def _parent(live: OperationHandle) -> Parent:
    if live.operation.parent is None:
        raise OperationFailed(Text("the operation's record names no container"))
    return live.operation.parent
