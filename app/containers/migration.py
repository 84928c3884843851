"""Carries the files of a container, and what was written to its volume, to where the next version finds them."""

from collections.abc import Callable
from dataclasses import dataclass

from app.model.operation import Merge, Parent, Step
from app.operations.handle import OperationHandle
from app.ports import Containers, Layers, Transfer, Volumes


@dataclass(frozen=True)
class Source:
    """The place of the files of the version to begin with.

    `parent` is the container that must stop before the next version starts, None if there is none any more. With
    `moving` it is also the one that still writes to `layer`.
    """

    layer: str
    parent: Parent | None
    moving: bool

    @property
    def running(self) -> bool:
        """Tell if there is something to stop."""
        return self.parent is not None and self.parent.running


@dataclass(frozen=True)
class _Load:
    """One tree on its way; `moving` if the parent writes to it. `write_out` returns once it is on disk."""

    transfer: Transfer
    moving: bool
    write_out: Callable[[], None]
    finish: Callable[[], None]

    def before_the_stop(self) -> None:
        """Copy what can be copied while the parent still runs: all of what it does not write to."""
        if self.moving:
            self.transfer.copy_live()
        else:
            self.finish()
        self.write_out()  # or the start would wait for the disk, which is busy with what was copied


@dataclass(frozen=True)
class Migrator:
    """Copies most while the old container still runs and the rest after it has stopped, so that it is down shortly."""

    containers: Containers
    layers: Layers
    volumes: Volumes

    def carry(self, handle: OperationHandle, source: Source, container: str) -> Callable[[], None]:
        """Make a new container's layer equal to the source's, and do the operation's merge; the parent is stopped then.

        What is returned has to be called before the commit: it waits until everything is on disk.
        """
        loads = [self._layer(handle, source, self.layers.locate(container))]
        if handle.operation.merge:
            loads.append(self._volume(handle, handle.operation.merge, source.running))
        handle.step(Step.COPYING)
        if source.parent and source.running:
            for load in loads:
                load.before_the_stop()
            handle.check()
            handle.step(Step.STOPPING)
            self.containers.stop(source.parent.container_id)
        for load in loads:
            if load.moving or not source.running:
                load.finish()

        def write_out() -> None:
            for load in loads:
                load.write_out()

        return write_out

    def _layer(self, handle: OperationHandle, source: Source, layer: str) -> _Load:
        transfer = self.layers.begin(source.layer, layer, handle.progress)
        return _Load(transfer, source.running and source.moving, lambda: self.layers.sync(layer), transfer.finish)

    def _volume(self, handle: OperationHandle, merge: Merge, running: bool) -> _Load:
        source, target = self.volumes.data_path(merge.source), self.volumes.data_path(merge.target)
        transfer = self.volumes.begin(source, target, handle.progress)

        def finish() -> None:
            # Other containers may go on writing to the old volume.
            shared = any(mount.running for mount in self.containers.mounts().get(merge.source, ()))
            (transfer.settle if shared else transfer.finish)()

        return _Load(transfer, running, lambda: self.volumes.sync(target), finish)
