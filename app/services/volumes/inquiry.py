"""Which volumes there are: the records of all nodes, with what Docker and the filesystems of this one say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.domain.containers import Mount
from app.domain.drift import Drift
from app.domain.naming import Name
from app.domain.operations import now
from app.domain.volumes import Usage, VolumeFamily, VolumeRecord
from app.ports import Engine, Volumes
from app.services.drift import Drifts, VolumeCircumstances
from app.services.volumes.records import VolumeRecords

STATES = ("present", "missing", "removed", "remote")


@dataclass(frozen=True)
class VolumeVersionView:
    """One version: its record, how full it is, who mounts it, its state, and what is not as it was left.

    `state` is one of STATES: missing means that Docker lost it, removed that only the record is left, remote that
    another node knows.
    """

    record: VolumeRecord
    state: str
    usage: Usage
    mounts: Sequence[Mount]
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True)
class VolumeView:
    """A family: its newest version, and (when one is asked for) all versions, newest first; the drift of all."""

    family: VolumeFamily
    newest: VolumeVersionView
    count: int
    versions: tuple[VolumeVersionView, ...] = ()
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True)
class VolumePage:
    """Some volumes in the order of their names, and the family after which the next page begins, if any."""

    volumes: tuple[VolumeView, ...]
    after: str | None


class VolumeInquiry:
    """Reads volumes for lists and pages."""

    def __init__(self, records: VolumeRecords, engine: Engine, volumes: Volumes, drifts: Drifts) -> None:
        self._records = records
        self._engine = engine
        self._volumes = volumes
        self._drifts = drifts

    def volumes(
        self,
        state: str | None = None,
        name: str | None = None,
        container: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> VolumePage:
        """At most `limit` volumes after the family `after`: in that state, so named in part, mounted by `container`."""
        usages, seen = self._see()
        families, versions = self._records.everything()
        of: dict[str, list[VolumeRecord]] = {family.family: [] for family in families}
        for record in versions.values():
            of[record.family].append(record)
        found = []
        for family in families:
            if after is None or family.family > after:
                view = self._view(family, of[family.family], usages, seen)
                newest = view.newest
                fits = state in (None, newest.state) and (name is None or name in newest.record.name)
                if fits and (container is None or _mounted_by(newest, container)):
                    found.append(replace(view, versions=()))
            if len(found) > limit:
                break
        more = found[limit - 1].family.family if len(found) > limit else None
        return VolumePage(tuple(found[:limit]), more)

    def volume(self, name: Name) -> VolumeView:
        """The family of `name` with its versions, newest first; VolumeNotFound if that version never was."""
        self._records.version(name)
        usages, seen = self._see()
        state = self._records.require(name)
        return self._view(state.record, self._records.versions(name.family), usages, seen)

    def _see(self) -> tuple[Mapping[str, Usage], VolumeCircumstances]:
        since, usages, mounts = now(), self._volumes.usages(), self._engine.mounts()
        return usages, self._drifts.of_volumes(since, frozenset(usages), mounts)

    def _view(
        self,
        family: VolumeFamily,
        records: Sequence[VolumeRecord],
        usages: Mapping[str, Usage],
        seen: VolumeCircumstances,
    ) -> VolumeView:
        newest_first = sorted(records, key=lambda record: record.version, reverse=True)
        versions = tuple(self._version(record, family, usages, seen) for record in newest_first)
        newest = next(version for version in versions if version.record.version == family.current)
        drift = tuple(found for version in versions for found in version.drift)
        return VolumeView(family, newest, len(versions), versions, drift)

    def _version(
        self, record: VolumeRecord, family: VolumeFamily, usages: Mapping[str, Usage], seen: VolumeCircumstances
    ) -> VolumeVersionView:
        if record.node != self._records.node:
            return VolumeVersionView(record, "remote", Usage(), ())
        if record.removed:
            return VolumeVersionView(record, "removed", Usage(), ())
        usage = usages.get(record.name)
        state = "missing" if usage is None else "present"
        drift, mounts = seen.of(family, record), seen.mounts.get(record.name, ())
        return VolumeVersionView(record, state, usage or Usage(), mounts, drift)


def _mounted_by(view: VolumeVersionView, container: str) -> bool:
    return any(mount.container == container for mount in view.mounts)
