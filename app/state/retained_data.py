"""Data that was set aside when a version was deleted with its record kept: it goes once the next version has it."""

from collections.abc import Iterable

from app.ports import Entry, Layers, Put, Store, Volumes
from app.state.keys import CONTAINERS, VOLUMES, family_key, operation_key, version_key, versions_prefix

# The field of a version's record that says where it is.
FIELDS = {CONTAINERS: "layer", VOLUMES: "aside"}


def _has_successor(versions: Iterable[Entry], version: int) -> bool:
    """Whether one of a family's versions was made of that one, and so has all that it had."""
    return any(entry.value["parent"] == version for entry in versions)


class RetainedData:
    """Deletes such data and then says so in the version's record."""

    def __init__(self, store: Store, layers: Layers, volumes: Volumes) -> None:
        self._store = store
        self._layers = layers
        self._volumes = volumes

    def drop(self, resource: str, family: str, version: int) -> bool:
        """Drop what is set aside of an older version of a family that nobody works on; whether there was something.

        Only if another version was made of it: after a rollback to a third one nobody else has these files.
        If an operation begins meanwhile, the record may still name what is gone; another `drop` mends that.
        """
        known = self._store.get(family_key(resource, family))
        entry = self._store.get(version_key(resource, family, version))
        if known is None or entry is None or known.value["current"] == version:
            return False
        field, idle = FIELDS[resource], operation_key(resource, family)
        if entry.value[field] is None or self._store.get(idle) is not None:
            return False
        if not _has_successor(self._store.list(versions_prefix(resource, family)), version):
            return False
        self._discard(resource, entry.value[field])
        cleared = Put(entry.key, {**entry.value, field: None})
        return self._store.transact({entry.key: entry.revision, idle: 0}, [cleared]) is not None

    def _discard(self, resource: str, place: str) -> None:
        if resource == CONTAINERS:
            self._layers.discard(place)
        else:
            self._volumes.discard_aside(place)
