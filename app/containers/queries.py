"""The containers there are: the records of all nodes, with what this node's Docker says, and the others tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.cluster.reports import RemoteReports, Reports
from app.containers.drift import DriftContext, Drifts
from app.model.container import FamilyRecord, Observed, VersionRecord
from app.model.container_drift import Leftover
from app.model.drift import Drift, unreachable
from app.model.names import Name
from app.model.operation import now
from app.ports import ContainerReader
from app.state.containers import Claims, Containers, Records
from app.state.keys import CONTAINERS

STATES = ("running", "paused", "restarting", "stopped", "exited", "missing", "removed", "unreachable")


@dataclass(frozen=True)
class VersionView:
    """One version: its record, the state of its container, and what is not as it was left."""

    record: VersionRecord
    state: str
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True)
class ContainerView:
    """A family: its newest version, the GPUs it holds now by UUID, and (when one is asked for) all versions.

    `state` is one of STATES: exited means that it should run and does not, missing that Docker lost it,
    removed that only the record is left, unreachable that its node does not tell. `drift` is that of all versions.
    """

    family: FamilyRecord
    newest: VersionRecord
    state: str
    gpus: tuple[str, ...]
    versions: tuple[VersionView, ...] = ()
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True)
class Page:
    """Some containers in the order of their names, and the family after which the next page begins, if any.

    The first page has the leftovers too.
    """

    containers: tuple[ContainerView, ...]
    after: str | None
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """The facts that views are made of: what this node sees of its own, what others tell, who holds which GPU."""

    here: DriftContext
    elsewhere: Reports
    claims: Claims
    node: str


@dataclass(frozen=True)
class _ListFilter:
    """The containers that are asked for; None is no condition."""

    state: str | None
    gpu: str | None
    name: str | None
    node: str | None
    after: str | None

    def fits(self, view: ContainerView) -> bool:
        return (
            self.state in (None, view.state)
            and (self.gpu is None or self.gpu in view.gpus)
            and (self.name is None or self.name in view.newest.name)
            and self.node in (None, view.family.node)
            and (self.after is None or view.family.family > self.after)
        )


class ContainerQueries:
    """Reads containers for lists and pages."""

    def __init__(self, records: Records, containers: ContainerReader, drifts: Drifts, elsewhere: RemoteReports) -> None:
        self._records = records
        self._containers = containers
        self._drifts = drifts
        self._elsewhere = elsewhere

    def page(
        self,
        state: str | None = None,
        gpu: str | None = None,
        name: str | None = None,
        node: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """At most `limit` containers after the family `after`.

        Only those in that state, holding that GPU, so named in part, and on that node.
        """
        stored, seen = self._see()
        wanted = _ListFilter(state, gpu, name, node, after)
        found = [view for view in _views(stored.families, stored, seen) if wanted.fits(view)]
        more = found[limit - 1].family.family if len(found) > limit else None
        left = () if state or gpu or after else self._leftovers(stored, seen, name or "", node)
        return Page(tuple(replace(view, versions=()) for view in found[:limit]), more, left)

    def here(self) -> tuple[list[ContainerView], tuple[Leftover, ...]]:
        """The containers of this node with all their versions, and what is left of erased ones."""
        stored, seen = self._see(alone=True)
        own = [family for family in stored.families if family.node == seen.node]
        return _views(own, stored, seen), seen.here.leftovers(stored.known)

    def show(self, name: Name) -> ContainerView:
        """The family of `name` with its versions, newest first; ContainerNotFound if that version never was."""
        self._records.known_version(name)
        since, observed = now(), self._observed()
        state = self._records.known(name)
        observed = self._look_closely(state.current, observed)
        versions = list(reversed(self._records.versions(name.family)))
        return _view(state.record, state.current, versions, self._seen(since, observed, versions))

    def _see(self, alone: bool = False) -> tuple[Containers, _Seen]:
        """Everything; if `alone`, without what other nodes tell."""
        since, observed = now(), self._observed()
        stored = self._records.survey()
        return stored, self._seen(since, observed, list(stored.versions.values()), alone)

    def _seen(
        self, since: str, observed: dict[str, Observed], versions: Sequence[VersionRecord], alone: bool = False
    ) -> _Seen:
        node, claims = self._records.node, Claims(self._records.gpu_holders(), {})
        own = [record for record in versions if record.node == node]
        here = self._drifts.of_containers(since, observed, claims, own)
        return _Seen(here, Reports({}, {}) if alone else self._elsewhere.reports(CONTAINERS), claims, node)

    def _leftovers(self, stored: Containers, seen: _Seen, part: str, node: str | None) -> tuple[Leftover, ...]:
        here = seen.here.leftovers(stored.known) if node in (None, seen.node) else ()
        others = self._elsewhere.leftovers() if node != seen.node else ()
        return tuple(
            found
            for found in (*here, *others)
            if part in found.container.name and node in (None, found.container.labels and found.container.labels.node)
        )

    def _observed(self) -> dict[str, Observed]:
        return {container.id: container for container in self._containers.list()}

    def _look_closely(self, newest: VersionRecord, observed: dict[str, Observed]) -> dict[str, Observed]:
        """The same with everything that Docker knows of a newest version that does not run."""
        seen = observed.get(newest.container_id)
        inspected = self._containers.inspect(seen.id) if seen and not seen.running else None
        return {**observed, inspected.id: inspected} if inspected else observed


def _views(families: Sequence[FamilyRecord], stored: Containers, seen: _Seen) -> list[ContainerView]:
    versions = stored.versions
    of: dict[str, list[VersionRecord]] = {}
    for record in sorted(versions.values(), key=lambda record: record.version, reverse=True):
        of.setdefault(record.family, []).append(record)
    return [
        _view(family, versions[f"{family.family}-{family.current}"], of[family.family], seen) for family in families
    ]


def _view(family: FamilyRecord, newest: VersionRecord, versions: Sequence[VersionRecord], seen: _Seen) -> ContainerView:
    each = tuple(_version(family, record, seen) for record in versions)
    return ContainerView(
        family=family,
        newest=newest,
        state=next(view.state for view in each if view.record.version == newest.version),
        gpus=tuple(seen.claims.gpus_of(family.family)),
        versions=each,
        drift=tuple(drift for version in each for drift in version.drift),
    )


def _version(family: FamilyRecord, record: VersionRecord, seen: _Seen) -> VersionView:
    if record.removed:
        return VersionView(record, "removed")
    if record.node != seen.node:
        return _elsewhere(family, record, seen.elsewhere)
    return VersionView(record, _state(family, record, seen.here), seen.here.of(family, record))


def _elsewhere(family: FamilyRecord, record: VersionRecord, reports: Reports) -> VersionView:
    newest = record.version == family.current
    if silence := reports.silence(record.node):
        return VersionView(record, "unreachable", (unreachable(record.name, silence),) if newest else ())
    if told := reports.of(family, record.version):
        return VersionView(record, told.state, told.drift)
    return VersionView(record, "running" if newest and family.desired == "running" else "stopped")


def _state(family: FamilyRecord, record: VersionRecord, seen: DriftContext) -> str:
    container = seen.observed.get(record.container_id)
    if container is None:
        return "missing"
    if container.running:
        return container.state
    expected = family.desired == "running" and record.version == family.current
    return "exited" if expected else "stopped"
