"""Which volumes there are: the records of all nodes, with what Docker and the filesystems of this one say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.containers import Mount
from app.domain.naming import Name, versioned
from app.domain.volumes import Usage, VolumeFamily, VolumeRecord
from app.ports import Engine, Volumes
from app.services.volumes.records import VolumeRecords

STATES = ("present", "missing", "removed", "remote")


@dataclass(frozen=True)
class VolumeVersionView:
    """One version: its record, how full it is, who mounts it, and its state.

    `state` is one of STATES: missing means that Docker lost it, removed that only the record is left, remote that
    another node knows.
    """

    record: VolumeRecord
    state: str
    usage: Usage
    mounts: Sequence[Mount]


@dataclass(frozen=True)
class VolumeView:
    """A family: its newest version, and (when one is asked for) all versions, newest first."""

    family: VolumeFamily
    newest: VolumeVersionView
    count: int
    versions: tuple[VolumeVersionView, ...] = ()


@dataclass(frozen=True)
class VolumePage:
    """Some volumes in the order of their names, and the family after which the next page begins, if any."""

    volumes: tuple[VolumeView, ...]
    after: str | None


@dataclass(frozen=True)
class _Seen:
    """What Docker and the filesystems say, by the volume's name."""

    usages: Mapping[str, Usage]
    mounts: Mapping[str, Sequence[Mount]]


class VolumeInquiry:
    """Reads volumes for lists and pages."""

    def __init__(self, records: VolumeRecords, engine: Engine, volumes: Volumes) -> None:
        self._records = records
        self._engine = engine
        self._volumes = volumes

    def volumes(
        self,
        state: str | None = None,
        name: str | None = None,
        container: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> VolumePage:
        """At most `limit` volumes after the family `after`: in that state, so named in part, mounted by `container`."""
        families, versions = self._records.everything()
        seen, found = self._see(), []
        for family in families:
            newest = versions[versioned(family.family, family.current)]
            if (name is None or name in newest.name) and (after is None or family.family > after):
                view = self._view(newest, seen)
                if state in (None, view.state) and (container is None or _mounted_by(view, container)):
                    count = sum(record.family == family.family for record in versions.values())
                    found.append(VolumeView(family, view, count))
            if len(found) > limit:
                break
        more = found[limit - 1].family.family if len(found) > limit else None
        return VolumePage(tuple(found[:limit]), more)

    def volume(self, name: Name) -> VolumeView:
        """The family of `name` with its versions, newest first; VolumeNotFound if that version never was."""
        self._records.version(name)
        state, seen = self._records.require(name), self._see()
        versions = tuple(self._view(record, seen) for record in reversed(self._records.versions(name.family)))
        return VolumeView(state.record, versions[0], len(versions), versions)

    def _see(self) -> _Seen:
        return _Seen(self._volumes.usages(), self._engine.mounts())

    def _view(self, record: VolumeRecord, seen: _Seen) -> VolumeVersionView:
        if record.node != self._records.node:
            return VolumeVersionView(record, "remote", Usage(), ())
        if record.removed:
            return VolumeVersionView(record, "removed", Usage(), ())
        usage = seen.usages.get(record.name)
        state = "missing" if usage is None else "present"
        return VolumeVersionView(record, state, usage or Usage(), seen.mounts.get(record.name, ()))


def _mounted_by(view: VolumeVersionView, container: str) -> bool:
    return any(mount.container == container for mount in view.mounts)
