"""Take in a volume that somebody made with Docker itself: its data go on in the first version of a family."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.errors import (
    AdoptionFailed,
    AdoptionRefused,
    AlreadyManaged,
    OperationFailed,
    VolumeInUse,
    VolumeNotFound,
    VolumeTooSmall,
)
from app.model.adoption import family_for
from app.model.messages import Text, joined
from app.model.names import VOLUME
from app.model.sizes import Size, human, parse_size
from app.operations.handle import OperationHandle
from app.operations.hooks import Plan
from app.ports import ContainerReader, DockerVolumeReader, Volumes
from app.state.keys import VOLUMES
from app.volumes.create import VolumeCreator
from app.volumes.transactions import VolumeMaker, VolumeResult, no_room

# Room for what a copy needs beyond the bytes themselves: directories, and the metadata of a filesystem of its own.
_MARGIN = 16 << 20


@dataclass(frozen=True)
class VolumeAdopter:
    """Copies volumes that gpudock did not make, and that no running container uses, into sized ones of its own."""

    creator: VolumeCreator
    containers: ContainerReader
    docker_volumes: DockerVolumeReader

    def __post_init__(self) -> None:
        self._maker.journal.register("adopt", self._maker.undo, VOLUMES)

    def adopt(self, name: str, family: str | None, text: str) -> VolumeResult:
        """Make `family`-0 (default: named as the volume), of the size `text` (like 20GB), with what is in the volume.

        The old one stays as it is. Raises AlreadyManaged, AdoptionRefused for one that is not a plain local volume,
        VolumeInUse, VolumeNotFound, VolumeTooSmall, and what a create raises; nothing is changed then.
        """
        size = parse_size(text)
        self._check(name)
        family = family_for(name, family, VOLUME)
        self._check_unused(name)
        place = self._volumes.data_path(name)
        self._check_room(name, place, size)
        live = self._maker.journal.compete(lambda: self._begin(name, family, lambda: self._volumes.measure(place)))
        with self._maker.journal.guard(live):
            try:
                way = self._maker.make(live, size)
                self._copy(live, name, place, size)
                return self._maker.commit(live, size, way, None, None)
            except OperationFailed as exc:
                raise AdoptionFailed(
                    Text("{name} could not be taken in, and is as it was: {why}", name=name, why=exc.message)
                ) from exc

    def _check(self, name: str) -> None:
        found = self.docker_volumes.volume(name)
        if found is None:
            raise VolumeNotFound(Text("Docker has no volume {name}; docker volume ls lists them", name=name))
        if found.managed or self._maker.records.entry(name):
            raise AlreadyManaged(
                Text("the volume {name} is gpudock's already; GET /api/v1/volumes lists it", name=name)
            )
        if found.driver != "local" or found.options:
            options = [Text("option {option}", option=key) for key in sorted(found.options)]
            settings = [Text("driver {driver}", driver=found.driver), *options]
            raise AdoptionRefused(
                Text(
                    "{name} is no plain local volume ({settings}), so gpudock does not know where its data is; "
                    "copy them into a volume that gpudock made",
                    name=name,
                    settings=joined(settings, ", "),
                ),
                settings=settings,
            )

    def _check_unused(self, name: str) -> None:
        running = sorted(mount.container for mount in self.containers.mounts().get(name, ()) if mount.running)
        if running:
            message = Text("{name} is mounted by {users}; stop that first", name=name, users=", ".join(running))
            raise VolumeInUse(message, containers=running)

    def _check_room(self, name: str, place: str, size: Size) -> None:
        used, _ = self._volumes.measure(place)
        self._check_fits(name, used, size.bytes)
        free = self._volumes.free_bytes()
        if free < used + _MARGIN:
            raise no_room(used, free)

    def _check_fits(self, name: str, used: int, capacity: int) -> None:
        if used > capacity:
            message = Text(
                "{name} holds {used}, more than the {capacity} there would be; give a larger size",
                name=name,
                used=human(used),
                capacity=human(capacity),
            )
            raise VolumeTooSmall(message, used=used, size=capacity)

    def _begin(self, name: str, family: str, measure: Callable[[], tuple[int, int]]) -> OperationHandle | None:
        self.creator.check_absent(family)
        operation = replace(self._maker.operation("adopt", family, 0), volumes=(name,))
        return self._maker.begin(Plan(operation, copies=[measure]), 0, {})

    def _copy(self, live: OperationHandle, name: str, place: str, size: Size) -> None:
        target = live.operation.name
        usage = self._volumes.usage(target)
        if usage and usage.capacity is not None:
            self._check_fits(name, self._volumes.measure(place)[0], usage.capacity)
        live.step("copying")
        self._volumes.begin(place, self._volumes.data_path(target), live.progress).finish()
        self._check_unused(name)  # whoever began to write meanwhile would be missing half of it
        self._volumes.sync(self._volumes.data_path(target))

    @property
    def _maker(self) -> VolumeMaker:
        return self.creator.maker

    @property
    def _volumes(self) -> Volumes:
        return self._maker.volumes
