"""Leftovers of operations whose process was killed or held up right at their end, beside containers.

Nothing of it can do harm, so there is no hurry: it goes once two passes in a row have found it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.model.container import VersionRecord
from app.model.names import versioned
from app.model.operation import Operation
from app.ports import ImageReader, VolumeReader
from app.state.containers import Containers
from app.state.keys import CONTAINERS, VOLUMES
from app.state.retained_data import place_of
from app.state.volumes import RecordedVolumes


@dataclass(frozen=True)
class RetainedFiles:
    """The place of what is set aside of a deleted version that another one was made of, so that this one has it all."""

    resource: str
    family: str
    version: int
    path: str

    @property
    def name(self) -> str:
        """The versioned name."""
        return versioned(self.family, self.version)


@dataclass(frozen=True)
class Found:
    """The objects in Docker that may be left over: ids of images that are held and of which there is no container,
    operations whose commits made images without a name, and by its name which operation made each volume of ours.
    """

    held: frozenset[str]
    commits: frozenset[str]
    volumes: Mapping[str, str]


@dataclass(frozen=True)
class Leftovers:
    """The things that may go: images, data set aside, and by what they made, operations that may have been undone.

    `volumes` and `commits` count only as far as those operations were undone.
    """

    images: frozenset[str]
    retained: Sequence[RetainedFiles]
    commits: frozenset[str]
    volumes: Mapping[str, str]


def look(images: ImageReader, volumes: VolumeReader) -> Found:
    """Read what Docker has, to be asked before etcd."""
    return Found(frozenset(images.held_images()), frozenset(images.nameless_commits()), volumes.made())


def unneeded(
    found: Found,
    containers: Containers,
    volumes: RecordedVolumes,
    node: str,
) -> Leftovers:
    """Return that of it which no record and no operation explains.

    What cannot be read might explain any image, and the volumes and files of its family.
    """
    recorded = {record.name for record in volumes.versions.values() if not record.removed}
    return Leftovers(
        images=frozenset() if containers.problems else found.held - _needed(containers, node),
        retained=[*_retained(CONTAINERS, containers, node), *_retained(VOLUMES, volumes, node)],
        commits=found.commits,
        volumes={
            name: operation
            for name, operation in found.volumes.items()
            if name not in recorded and name.rpartition("-")[0] not in volumes.unclear
        },
    )


def _needed(containers: Containers, node: str) -> set[str | None]:
    """The images of recorded versions, and of what is being made."""
    users: list[VersionRecord | Operation] = [*containers.versions.values(), *containers.operations]
    return {user.image_id for user in users if user.node == node}


def _retained(resource: str, stored: Containers | RecordedVolumes, node: str) -> Iterator[RetainedFiles]:
    spared = stored.unclear | {operation.family for operation in stored.operations}
    newest = {(family.family, family.current) for family in stored.families}
    origins = {(record.family, record.parent) for record in stored.versions.values()}
    for record in stored.versions.values():
        this, place = (record.family, record.version), place_of(record)
        if place and record.node == node and this not in newest and this in origins and record.family not in spared:
            yield RetainedFiles(resource, record.family, record.version, place)
