"""The volumes there are: the records of all nodes, with what this one finds on it, and the others tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.cluster.reports import RemoteReports, Reports
from app.model.container import Mount
from app.model.drift import Drift, unreachable
from app.model.names import Name
from app.model.operation import now
from app.model.volume import Usage, VolumeFamily, VolumeRecord
from app.ports import ContainerReader, VolumeReader
from app.state.keys import VOLUMES
from app.state.volumes import VolumeRecords
from app.volumes.drift import VolumeDriftContext, VolumeDrifts

STATES = ("present", "missing", "removed", "unreachable")


@dataclass(frozen=True)
class VolumeVersionView:
    """One version: its record, how full it is, who mounts it, its state, and what is not as it was left.

    `state` is one of STATES: missing means that Docker lost it, removed that only the record is left, unreachable
    that its node does not tell.
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


@dataclass(frozen=True)
class _Seen:
    """The facts that views are made of: what this node finds on it, and what the others tell."""

    usages: Mapping[str, Usage]
    here: VolumeDriftContext
    elsewhere: Reports
    node: str


class VolumeQueries:
    """Reads volumes for lists and pages."""

    def __init__(
        self,
        records: VolumeRecords,
        containers: ContainerReader,
        volumes: VolumeReader,
        drifts: VolumeDrifts,
        elsewhere: RemoteReports,
    ) -> None:
        self._records = records
        self._containers = containers
        self._volumes = volumes
        self._drifts = drifts
        self._elsewhere = elsewhere

    def page(
        self,
        state: str | None = None,
        name: str | None = None,
        container: str | None = None,
        node: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> VolumePage:
        """At most `limit` volumes after the family `after`.

        Only those in that state, so named in part, mounted by `container`, and on that node.
        """
        found = [
            view
            for view in self._views(node)
            if state in (None, view.newest.state)
            and (name is None or name in view.newest.record.name)
            and (container is None or _mounted_by(view.newest, container))
            and (after is None or view.family.family > after)
        ]
        more = found[limit - 1].family.family if len(found) > limit else None
        return VolumePage(tuple(replace(view, versions=()) for view in found[:limit]), more)

    def here(self) -> list[VolumeView]:
        """The volumes of this node with all their versions."""
        return self._views(self._records.node)

    def show(self, name: Name) -> VolumeView:
        """The family of `name` with its versions, newest first; VolumeNotFound if that version never was."""
        self._records.known_version(name)
        seen = self._see()
        state = self._records.known(name)
        return _view(state.record, self._records.versions(name.family), seen)

    def _see(self, node: str | None = None) -> _Seen:
        """See what there is of one node, or of all."""
        since, usages, mounts = now(), self._volumes.usages(), self._containers.mounts()
        here = self._drifts.of_volumes(since, frozenset(usages), mounts)
        alone = node == self._records.node
        return _Seen(usages, here, Reports({}, {}) if alone else self._elsewhere.reports(VOLUMES), self._records.node)

    def _views(self, node: str | None) -> list[VolumeView]:
        seen = self._see(node)
        families, versions = self._records.everything()
        of: dict[str, list[VolumeRecord]] = {family.family: [] for family in families}
        for record in versions.values():
            of[record.family].append(record)
        return [_view(family, of[family.family], seen) for family in families if node in (None, family.node)]


def _view(family: VolumeFamily, records: Sequence[VolumeRecord], seen: _Seen) -> VolumeView:
    newest_first = sorted(records, key=lambda record: record.version, reverse=True)
    versions = tuple(_version(record, family, seen) for record in newest_first)
    newest = next(version for version in versions if version.record.version == family.current)
    drift = tuple(found for version in versions for found in version.drift)
    return VolumeView(family, newest, len(versions), versions, drift)


def _version(record: VolumeRecord, family: VolumeFamily, seen: _Seen) -> VolumeVersionView:
    if record.removed:
        return VolumeVersionView(record, "removed", Usage(), ())
    if record.node != seen.node:
        return _elsewhere(record, family, seen.elsewhere)
    usage = seen.usages.get(record.name)
    state = "missing" if usage is None else "present"
    drift, mounts = seen.here.of(family, record), seen.here.mounts.get(record.name, ())
    return VolumeVersionView(record, state, usage or Usage(), mounts, drift)


def _elsewhere(record: VolumeRecord, family: VolumeFamily, reports: Reports) -> VolumeVersionView:
    if silence := reports.silence(record.node):
        drift = (unreachable(record.name, silence),) if record.version == family.current else ()
        return VolumeVersionView(record, "unreachable", Usage(), (), drift)
    if told := reports.of(family, record.version):
        return VolumeVersionView(record, told.state, told.usage, told.mounts, told.drift)
    return VolumeVersionView(record, "present", Usage(), ())


def _mounted_by(view: VolumeVersionView, container: str) -> bool:
    return any(mount.container == container for mount in view.mounts)
