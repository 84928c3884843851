"""Data that was set aside when a version was deleted with its record kept: it goes once the next version has it."""

from collections.abc import Iterable
from dataclasses import replace

from app.model.container import FamilyRecord, VersionRecord
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import Entry, Layers, Put, Store, Volumes
from app.state.codec import encode, readable, try_read
from app.state.keys import CONTAINERS, VOLUMES, family_key, operation_key, version_key, versions_prefix

AnyVersion = VersionRecord | VolumeRecord
FAMILIES: dict[str, type[FamilyRecord | VolumeFamily]] = {CONTAINERS: FamilyRecord, VOLUMES: VolumeFamily}
VERSIONS: dict[str, type[AnyVersion]] = {CONTAINERS: VersionRecord, VOLUMES: VolumeRecord}


def place_of(record: AnyVersion) -> str | None:
    """Return where data of a version is set aside; None if there is none."""
    return record.layer if isinstance(record, VersionRecord) else record.aside


def _cleared(record: AnyVersion) -> AnyVersion:
    return replace(record, layer=None) if isinstance(record, VersionRecord) else replace(record, aside=None)


class RetainedData:
    """Deletes such data and then says so in the version's record."""

    def __init__(self, store: Store, layers: Layers, volumes: Volumes) -> None:
        self._store = store
        self._layers = layers
        self._volumes = volumes

    def drop(self, resource: str, family: str, version: int) -> bool:
        """Drop what is set aside of an older version of a family that nobody works on; return if there was something.

        Only if another version was made of it: after a rollback to a third one nobody else has these files.
        If an operation begins meanwhile, the record may still name what is gone; another `drop` mends that.
        """
        entry = self._store.get(version_key(resource, family, version))
        known = try_read(FAMILIES[resource], self._store.get(family_key(resource, family)))
        record = try_read(VERSIONS[resource], entry)
        if known is None or entry is None or record is None or known.current == version:
            return False
        place, idle = place_of(record), operation_key(resource, family)
        if place is None or self._store.get(idle) is not None:
            return False
        if not self._has_successor(self._store.list(versions_prefix(resource, family)), record):
            return False
        self._discard(resource, place)
        cleared = Put(entry.key, encode(_cleared(record)))
        return self._store.transact({entry.key: entry.revision, idle: 0}, [cleared]) is not None

    def _has_successor(self, versions: Iterable[Entry], record: AnyVersion) -> bool:
        """Tell if one of a family's versions was made of that one, and so has all that it had."""
        return any(other.parent == record.version for _, other in readable(type(record), versions))

    def _discard(self, resource: str, place: str) -> None:
        if resource == CONTAINERS:
            self._layers.discard(place)
        else:
            self._volumes.discard_aside(place)
