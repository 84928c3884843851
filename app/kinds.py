"""The registry: every kind of operation on containers, volumes and images, and the request that each one plans."""

from app.containers.adopt import Adopt, AdoptContainer
from app.containers.change_gpus import ChangeGpus, GpuChange
from app.containers.change_volume import ChangeVolume, VolumeChange
from app.containers.cleanup import Cleanup
from app.containers.commit import Commit, CommitContainer
from app.containers.create import Create, CreateContainer
from app.containers.delete import DeleteContainer, DeleteVersion
from app.containers.desired import DesiredState
from app.containers.migration import Migrator
from app.containers.restart import Renew, RestartContainer
from app.containers.rollback import Rollback, RollBackContainer
from app.containers.start import Resume, ResumeContainer, Start
from app.containers.stop import Stop, StopContainer
from app.containers.transactions import VersionCommit, VersionStarter
from app.containers.undo import Undo
from app.images.pull import Pull, PullImage
from app.images.queries import ImageService
from app.model.operation import Kind
from app.operations.reader import Reader
from app.operations.registry import Registry
from app.ports import Backends
from app.state.keys import CONTAINERS, IMAGES, VOLUMES
from app.state.retained_data import RetainedData
from app.volumes.adopt import AdoptVolume, VolumeAdopt
from app.volumes.create import CreateVolume, VolumeCreate
from app.volumes.delete import DeleteVolume, VolumeDelete, VolumeDiscarder
from app.volumes.resize import Resize, ResizeVolume
from app.volumes.rollback import RollBackVolume, VolumeRollback
from app.volumes.transactions import VolumeMaker


def registry(
    parts: Backends, reader: Reader, undo: Undo, cleanup: Cleanup, retained: RetainedData, images: ImageService
) -> Registry:
    """Every kind of operation over these parts."""
    starter = VersionStarter(
        parts.containers,
        parts.images,
        parts.volumes,
        Migrator(parts.containers, parts.layers, parts.volumes),
        VersionCommit(reader.records, reader.volume_records),
    )
    desired, maker = DesiredState(reader.records), VolumeMaker(reader.volume_records, parts.volumes)
    recreate, remake = (starter, undo, cleanup), (maker, parts.containers, retained)
    discarder = VolumeDiscarder(reader.volume_records, parts.volumes)
    return Registry(
        kinds={
            (CONTAINERS, Kind.CREATE): Create(starter, undo),
            (CONTAINERS, Kind.ADOPT): Adopt(starter, undo),
            (CONTAINERS, Kind.GPU): GpuChange(*recreate),
            (CONTAINERS, Kind.VOLUME): VolumeChange(*recreate),
            (CONTAINERS, Kind.ROLLBACK): Rollback(*recreate),
            (CONTAINERS, Kind.RESTART): Renew(*recreate),
            (CONTAINERS, Kind.START): Start(parts.containers, parts.volumes, desired),
            (CONTAINERS, Kind.RESUME): Resume(parts.containers, parts.volumes, desired),
            (CONTAINERS, Kind.STOP): Stop(parts.containers, desired),
            (CONTAINERS, Kind.DELETE): DeleteVersion(
                reader.records, parts.containers, parts.layers, cleanup, discarder
            ),
            (CONTAINERS, Kind.COMMIT): Commit(parts.images),
            (VOLUMES, Kind.CREATE): VolumeCreate(maker),
            (VOLUMES, Kind.ADOPT): VolumeAdopt(maker, parts.containers),
            (VOLUMES, Kind.RESIZE): Resize(*remake),
            (VOLUMES, Kind.ROLLBACK): VolumeRollback(*remake),
            (VOLUMES, Kind.DELETE): VolumeDelete(reader.volume_records, parts.volumes),
            (IMAGES, Kind.PULL): Pull(parts.images, images),
        },
        requests={
            CreateContainer: (CONTAINERS, Kind.CREATE),
            AdoptContainer: (CONTAINERS, Kind.ADOPT),
            ChangeGpus: (CONTAINERS, Kind.GPU),
            ChangeVolume: (CONTAINERS, Kind.VOLUME),
            RollBackContainer: (CONTAINERS, Kind.ROLLBACK),
            RestartContainer: (CONTAINERS, Kind.RESTART),
            ResumeContainer: (CONTAINERS, Kind.RESUME),
            StopContainer: (CONTAINERS, Kind.STOP),
            DeleteContainer: (CONTAINERS, Kind.DELETE),
            CommitContainer: (CONTAINERS, Kind.COMMIT),
            CreateVolume: (VOLUMES, Kind.CREATE),
            AdoptVolume: (VOLUMES, Kind.ADOPT),
            ResizeVolume: (VOLUMES, Kind.RESIZE),
            RollBackVolume: (VOLUMES, Kind.ROLLBACK),
            DeleteVolume: (VOLUMES, Kind.DELETE),
            PullImage: (IMAGES, Kind.PULL),
        },
    )
