"""Leftovers of operations whose process was killed or held up right at their end, beside containers.

Nothing of it can do harm, so there is no hurry: it goes once two passes in a row have found it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.model.names import versioned
from app.ports import Entry, ImageReader, VolumeReader
from app.state.keys import VOLUMES, families_prefix, family_key, operation_key
from app.state.retained_data import FIELDS


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


def unneeded(found: Found, entries: Sequence[Entry], node: str) -> Leftovers:
    """Find those that no entry of etcd explains; `entries` has all records and operations, as of one revision."""
    needed = {e.value.get("image_id") for e in entries if e.value.get("node") == node}
    volumes = {name for name, entry in _versions(entries, VOLUMES) if not entry.value["removed"]}
    return Leftovers(
        images=found.held - needed,
        retained=[files for resource in FIELDS for files in _retained(entries, resource, node)],
        commits=found.commits,
        volumes={name: operation for name, operation in found.volumes.items() if name not in volumes},
    )


def _retained(entries: Sequence[Entry], resource: str, node: str) -> Iterator[RetainedFiles]:
    by_key = {entry.key: entry.value for entry in entries}
    origins = {(entry.value["family"], entry.value["parent"]) for _, entry in _versions(entries, resource)}
    for _, entry in _versions(entries, resource):
        family, version, path = entry.value["family"], entry.value["version"], entry.value[FIELDS[resource]]
        newest = by_key.get(family_key(resource, family), {}).get("current", version)
        here, busy = entry.value["node"] == node, operation_key(resource, family) in by_key
        if path and here and version != newest and (family, version) in origins and not busy:
            yield RetainedFiles(resource, family, version, path)


def _versions(entries: Sequence[Entry], resource: str) -> Iterator[tuple[str, Entry]]:
    """The records of versions with their versioned names."""
    for entry in entries:
        if entry.key.startswith(families_prefix(resource)) and "/versions/" in entry.key:
            yield versioned(entry.value["family"], entry.value["version"]), entry
