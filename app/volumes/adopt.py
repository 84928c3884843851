"""Take in a volume that somebody made with Docker itself: its data go on in the first version of a family."""

from dataclasses import dataclass

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
from app.model.operation import Kind, Operation, Step
from app.model.sizes import Size, human, parse_size
from app.operations.base import KindBase, Plan, Request, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import ContainerReader
from app.state.keys import VOLUMES, family_key
from app.volumes.create import check_absent
from app.volumes.transactions import COPY_MARGIN, VolumeMaker, VolumeResult, no_room


@dataclass(frozen=True)
class AdoptVolume(Request[VolumeResult]):
    """Make `family`-0 (default: named as the volume), of that size (like 20GB), with what is in the volume."""

    name: str
    family: str | None
    size: str


@dataclass(frozen=True, kw_only=True)
class VolumeAdoptPlan(Plan):
    """The volume that is there, where its data is, and the size of the new one."""

    name: str
    path: str
    size: Size


@dataclass(frozen=True)
class VolumeAdopt(KindBase):
    """Copies volumes that gpudock did not make, and that no running container uses, into sized ones of its own.

    The old one stays as it is.
    """

    maker: VolumeMaker
    containers: ContainerReader

    @staticmethod
    def plan(reader: Reader, request: AdoptVolume) -> VolumeAdoptPlan:
        """Find the volume and check that its data fits.

        Raises AlreadyManaged, AdoptionRefused for one that is not a plain local volume, VolumeInUse, VolumeNotFound,
        VolumeTooSmall, and what a create raises.
        """
        name, size = request.name, parse_size(request.size)
        _check(reader, name)
        family = family_for(name, request.family, VOLUME)
        _check_unused(reader.containers, name)
        path = reader.volumes.data_path(name)
        _check_room(reader, name, path, size)
        check_absent(reader, family)
        return VolumeAdoptPlan(
            operation=reader.draft(Kind.ADOPT, family, 0, VOLUMES).reading(name),
            expected={family_key(VOLUMES, family): 0},
            copies=[lambda: reader.volumes.measure(path)],
            name=name,
            path=path,
            size=size,
        )

    def run(self, handle: OperationHandle, plan: VolumeAdoptPlan) -> VolumeResult:
        """Make the volume and copy the data."""
        try:
            driver = self.maker.make(handle, plan.size)
            self._copy(handle, plan)
            return self.maker.commit(handle, plan.size, driver)
        except OperationFailed as exc:
            raise AdoptionFailed(
                Text("{name} could not be taken in, and is as it was: {why}", name=plan.name, why=exc.message)
            ) from exc

    def recover(self, handle: OperationHandle) -> None:
        """Undo it."""
        self.maker.undo(handle)

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to undo it."""
        return self.maker.ways_out(operation)

    def _copy(self, handle: OperationHandle, plan: VolumeAdoptPlan) -> None:
        volumes, target = self.maker.volumes, handle.operation.name
        usage = volumes.usage(target)
        if usage and usage.capacity is not None:
            _check_fits(plan.name, volumes.measure(plan.path)[0], usage.capacity)
        handle.step(Step.COPYING)
        volumes.begin(plan.path, volumes.data_path(target), handle.progress).finish()
        _check_unused(self.containers, plan.name)  # whoever began to write meanwhile would be missing half of it
        volumes.sync(volumes.data_path(target))


def _check(reader: Reader, name: str) -> None:
    found = reader.docker_volumes.volume(name)
    if found is None:
        raise VolumeNotFound(Text("Docker has no volume {name}; docker volume ls lists them", name=name))
    if found.managed or reader.volume_records.entry(name):
        raise AlreadyManaged(Text("the volume {name} is gpudock's already; GET /api/v1/volumes lists it", name=name))
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


def _check_unused(containers: ContainerReader, name: str) -> None:
    running = sorted(mount.container for mount in containers.mounts().get(name, ()) if mount.running)
    if running:
        message = Text("{name} is mounted by {users}; stop that first", name=name, users=", ".join(running))
        raise VolumeInUse(message, containers=running)


def _check_room(reader: Reader, name: str, path: str, size: Size) -> None:
    used, _ = reader.volumes.measure(path)
    _check_fits(name, used, size.bytes)
    free = reader.volumes.free_bytes()
    if free < used + COPY_MARGIN:
        raise no_room(used, free)


def _check_fits(name: str, used: int, capacity: int) -> None:
    if used > capacity:
        message = Text(
            "{name} holds {used}, more than the {capacity} there would be; give a larger size",
            name=name,
            used=human(used),
            capacity=human(capacity),
        )
        raise VolumeTooSmall(message, used=used, size=capacity)
