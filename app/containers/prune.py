"""Which older versions go after a change has succeeded, as GPUDOCK_KEEP_VERSIONS says."""

from app.containers.delete import DeleteContainer
from app.model.names import Name
from app.operations.reader import Reader


def outdated(reader: Reader, family: str) -> tuple[DeleteContainer, ...]:
    """List the deletions that are due once a container has one more version. One that runs is refused, and so kept."""
    keep = reader.settings.keep_versions
    if not keep:
        return ()
    versions = [record.version for record in reader.records.versions(family)]
    gone = versions[: max(0, len(versions) + 1 - keep)]
    return tuple(DeleteContainer(Name(family, version), force=False, erase=True) for version in gone)
