"""What is left of operations whose process was killed or held up right at their end, beside containers.

Nothing of it can do harm, so there is no hurry: it goes once two passes in a row have found it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.model.container import VersionRecord
from app.model.names import versioned
from app.model.operation import Operation
from app.ports import Engine, Entry, Volumes
from app.state.codec import readable
from app.state.keys import CONTAINERS, OPERATIONS, VOLUMES, families_prefix, is_version, operation_key
from app.state.retained_data import FAMILIES, VERSIONS, AnyVersion, place_of
from app.state.unreadable import unclear_families


@dataclass(frozen=True)
class RetainedFiles:
    """The place of what is set aside of a deleted version that another one was made of, so that this one has it all."""

    resource: str
    family: str
    version: int
    place: str

    @property
    def name(self) -> str:
        """The versioned name."""
        return versioned(self.family, self.version)


@dataclass(frozen=True)
class Found:
    """What Docker has: ids of images that are held and of which there is no container, operations whose commits made
    images without a name, and by its name which operation made each volume of ours.
    """

    held: frozenset[str]
    commits: frozenset[str]
    volumes: Mapping[str, str]


@dataclass(frozen=True)
class Leftovers:
    """What may go: images to be let go of, data set aside, and by what they made, operations that may have been undone.

    `volumes` and `commits` count only as far as those operations were undone.
    """

    images: frozenset[str]
    asides: Sequence[RetainedFiles]
    commits: frozenset[str]
    volumes: Mapping[str, str]


def look(engine: Engine, volumes: Volumes) -> Found:
    """What Docker has, to be asked before etcd."""
    return Found(frozenset(engine.held_images()), frozenset(engine.nameless_commits()), volumes.made())


def unneeded(found: Found, entries: Sequence[Entry], node: str) -> Leftovers:
    """Return that of it which no entry of etcd explains; `entries` has all records and operations, as of one revision.

    What cannot be read might explain any image, and the volumes and files of its family.
    """
    unclear = unclear_families(entries)
    versions = {resource: _versions(entries, resource) for resource in VERSIONS}
    recorded = {record.name for record in versions[VOLUMES] if not record.removed}
    return Leftovers(
        images=frozenset() if unclear else found.held - _needed(versions[CONTAINERS], entries, node),
        asides=[
            aside
            for resource in VERSIONS
            for aside in _asides(entries, versions[resource], resource, node)
            if (resource, aside.family) not in unclear
        ],
        commits=found.commits,
        volumes={
            name: operation
            for name, operation in found.volumes.items()
            if name not in recorded and (VOLUMES, name.rpartition("-")[0]) not in unclear
        },
    )


def _versions(entries: Sequence[Entry], resource: str) -> list[AnyVersion]:
    stored = (e for e in entries if e.key.startswith(families_prefix(resource)) and is_version(e.key))
    return [record for _, record in readable(VERSIONS[resource], stored)]


def _needed(containers: Iterable[AnyVersion], entries: Sequence[Entry], node: str) -> set[str | None]:
    """The images of recorded versions, and of what is being made."""
    operations = readable(Operation, (entry for entry in entries if entry.key.startswith(OPERATIONS)))
    begun = {operation.image_id for _, operation in operations if operation.node == node}
    return begun | {c.image_id for c in containers if isinstance(c, VersionRecord) and c.node == node}


def _asides(
    entries: Sequence[Entry], versions: Sequence[AnyVersion], resource: str, node: str
) -> Iterator[RetainedFiles]:
    keys = {entry.key for entry in entries}
    stored = (entry for entry in entries if entry.key.startswith(families_prefix(resource)))
    families = readable(FAMILIES[resource], (entry for entry in stored if not is_version(entry.key)))
    newest = {(family.family, family.current) for _, family in families}
    origins = {(record.family, record.parent) for record in versions}
    for record in versions:
        this, place = (record.family, record.version), place_of(record)
        busy = operation_key(resource, record.family) in keys
        if place and record.node == node and this not in newest and this in origins and not busy:
            yield RetainedFiles(resource, record.family, record.version, place)
