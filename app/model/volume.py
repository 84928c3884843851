"""Volumes: what is recorded of a version, how one is to be made, and how full it is."""

from dataclasses import dataclass

from app.model.container import Labels
from app.model.names import versioned
from app.model.record import Record
from app.model.sizes import Size

# The drivers, by how they enforce a size: by Docker through project quotas, by a filesystem of its own, not at all.
QUOTA, LOOP, NONE = "quota", "loop", "none"
DRIVERS = (QUOTA, LOOP, NONE)
# The setting that takes the first of them that works on the host.
AUTO = "auto"


@dataclass(frozen=True)
class VolumePlan:
    """A volume to be created, empty."""

    labels: Labels
    size: Size

    @property
    def name(self) -> str:
        """The versioned name, which is also the volume's name in Docker."""
        return versioned(self.labels.family, self.labels.version)


@dataclass(frozen=True)
class Usage:
    """Tell the bytes in use of a volume and its number of files; `capacity` is what it can hold in all.

    As its filesystem reports it; where no size is enforced there is no such report, and everything is None.
    """

    capacity: int | None = None
    used: int | None = None
    files: int | None = None


@dataclass(frozen=True)
class VolumeRecord(Record):
    """Record one version in etcd.

    `parent` is the version whose data it began with, `driver` how its size is enforced, `mounted` the time when a
    container on it was last made (None as long as none was). `merging` names the operation that is carrying its
    parent's data into it once more; after one that broke off, the volume holds only a part of them. `seal` is the
    time of the newest change to anything in it when it was made (ctime, ns since 1970). `aside` is the place where
    its data was set aside when it was deleted with the record kept.
    """

    family: str
    version: int
    node: str
    size: str
    bytes: int
    driver: str
    parent: int | None = None
    why: str = ""
    created: str = ""
    mounted: str | None = None
    merging: str | None = None
    seal: int | None = None
    aside: str | None = None
    removed: str | None = None

    @property
    def name(self) -> str:
        """The versioned name, which is also the volume's name in Docker."""
        return versioned(self.family, self.version)

    @property
    def enforced(self) -> bool:
        """Tell if its filesystem keeps it from growing beyond its size."""
        return self.driver != NONE


@dataclass(frozen=True)
class VolumeFamily(Record):
    """Record a family of volumes in etcd: its newest version."""

    family: str
    node: str
    current: int
    created: str = ""
    updated: str = ""
