"""Views from etcd alone: for pages while Docker is down, and to link only what has a page here."""

from app.containers.queries import ContainerView, Page, VersionView
from app.model.names import Name, versioned
from app.model.volume import Usage, VolumeRecord
from app.state.containers import Records
from app.state.volumes import VolumeRecords
from app.volumes.queries import VolumePage, VolumeVersionView, VolumeView
from app.web.request_scope import services

UNKNOWN = "unknown"


def names(records: Records | VolumeRecords) -> frozenset[str]:
    """All families and their versions: those of other nodes have a page too, which their node makes."""
    families, versions = records.everything()
    return frozenset({*versions, *(family.family for family in families)})


def containers(part: str | None) -> Page:
    """All containers with `part` in their names."""
    records = services().containers.records
    families, versions = records.everything()
    claims = records.claims()
    views = []
    for family in families:
        newest = versions[versioned(family.family, family.current)]
        if part is None or part in newest.name:
            views.append(ContainerView(family, newest, UNKNOWN, tuple(claims.gpus_of(family.family))))
    return Page(tuple(views), None)


def container(name: Name) -> ContainerView:
    """The family of `name` with its versions, newest first; ContainerNotFound if that version never was."""
    records = services().containers.records
    records.version(name)
    family = records.require(name).record
    versions = tuple(VersionView(record, UNKNOWN) for record in reversed(records.versions(name.family)))
    gpus = tuple(records.claims().gpus_of(name.family))
    return ContainerView(family, versions[0].record, UNKNOWN, gpus, versions)


def volumes(part: str | None) -> VolumePage:
    """All volumes with `part` in their names."""
    families, versions = services().volumes.records.everything()
    views = []
    for family in families:
        newest = versions[versioned(family.family, family.current)]
        if part is None or part in newest.name:
            count = sum(record.family == family.family for record in versions.values())
            views.append(VolumeView(family, _volume_version(newest), count))
    return VolumePage(tuple(views), None)


def volume(name: Name) -> VolumeView:
    """The family of `name` with its versions, newest first; VolumeNotFound if that version never was."""
    records = services().volumes.records
    records.version(name)
    family = records.require(name).record
    versions = tuple(_volume_version(record) for record in reversed(records.versions(name.family)))
    return VolumeView(family, versions[0], len(versions), versions)


def _volume_version(record: VolumeRecord) -> VolumeVersionView:
    return VolumeVersionView(record, UNKNOWN, Usage(), ())
