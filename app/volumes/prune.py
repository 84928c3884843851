"""Which older versions go after a change has succeeded, as GPUDOCK_KEEP_VERSIONS says."""

from app.model.names import Name
from app.operations.reader import Reader
from app.volumes.delete import DeleteVolume


def outdated(reader: Reader, family: str) -> tuple[DeleteVolume, ...]:
    """List the deletions that are due once a volume has one more version. One that is used is refused, and so kept."""
    keep = reader.settings.keep_versions
    if not keep:
        return ()
    versions = [record.version for record in reader.volume_records.versions(family)]
    gone = versions[: max(0, len(versions) + 1 - keep)]
    return tuple(DeleteVolume(Name(family, version), force=False, erase=True) for version in gone)
