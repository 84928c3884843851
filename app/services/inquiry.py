"""Which containers there are: the records of all nodes, with what this node's Docker says about its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.containers import FamilyRecord, Observed, VersionRecord
from app.domain.drift import Drift
from app.domain.naming import Name
from app.domain.operations import now
from app.ports import Engine
from app.services.drift import Circumstances, Drifts, Leftover
from app.services.records import Records

STATES = ("running", "paused", "restarting", "stopped", "exited", "missing", "removed", "remote")


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
    removed that only the record is left, remote that another node knows. `drift` is that of all versions.
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


class Inquiry:
    """Reads containers for lists and pages."""

    def __init__(self, records: Records, engine: Engine, drifts: Drifts) -> None:
        self._records = records
        self._engine = engine
        self._drifts = drifts

    def containers(
        self,
        state: str | None = None,
        gpu: str | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """At most `limit` containers after the family `after`: in that state, holding that GPU, so named in part."""
        since, observed = now(), self._observed()
        families, versions = self._records.everything()
        seen = self._drifts.of_containers(since, observed, self._records.claims(), list(versions.values()))
        found = [
            view
            for view in _views(families, versions, seen, self._records.node)
            if (state is None or view.state == state)
            and (gpu is None or gpu in view.gpus)
            and (name is None or name in view.newest.name)
            and (after is None or view.family.family > after)
        ]
        more = found[limit - 1].family.family if len(found) > limit else None
        left = () if state or gpu or after else seen.leftovers(families)
        return Page(tuple(found[:limit]), more, tuple(one for one in left if (name or "") in one.container.name))

    def container(self, name: Name) -> ContainerView:
        """The family of `name` with its versions, newest first; ContainerNotFound if that version never was."""
        self._records.version(name)
        since, observed = now(), self._observed()
        state = self._records.require(name)
        observed = self._look_closely(state.current, observed)
        versions = list(reversed(self._records.versions(name.family)))
        seen = self._drifts.of_containers(since, observed, self._records.claims(), versions)
        return _view(state.record, state.current, versions, seen, self._records.node)

    def _observed(self) -> dict[str, Observed]:
        return {container.id: container for container in self._engine.list()}

    def _look_closely(self, newest: VersionRecord, observed: dict[str, Observed]) -> dict[str, Observed]:
        """The same with everything that Docker knows of a newest version that does not run."""
        seen = observed.get(newest.container_id)
        inspected = self._engine.inspect(seen.id) if seen and not seen.running else None
        return {**observed, inspected.id: inspected} if inspected else observed


def _views(
    families: Sequence[FamilyRecord], versions: dict[str, VersionRecord], seen: Circumstances, node: str
) -> list[ContainerView]:
    of: dict[str, list[VersionRecord]] = {}
    for record in sorted(versions.values(), key=lambda record: record.version, reverse=True):
        of.setdefault(record.family, []).append(record)
    found = []
    for family in families:
        view = _view(family, versions[f"{family.family}-{family.current}"], of[family.family], seen, node)
        found.append(replace(view, versions=()))
    return found


def _view(
    family: FamilyRecord, newest: VersionRecord, versions: Sequence[VersionRecord], seen: Circumstances, node: str
) -> ContainerView:
    each = tuple(_version(family, record, seen, node) for record in versions)
    return ContainerView(
        family=family,
        newest=newest,
        state=_state(family, newest, seen, node),
        gpus=tuple(seen.claims.gpus_of(family.family)),
        versions=each,
        drift=tuple(drift for version in each for drift in version.drift),
    )


def _version(family: FamilyRecord, record: VersionRecord, seen: Circumstances, node: str) -> VersionView:
    drift = seen.of(family, record) if record.node == node else ()
    return VersionView(record, _state(family, record, seen, node), drift)


def _state(family: FamilyRecord, record: VersionRecord, seen: Circumstances, node: str) -> str:
    if record.node != node:
        return "remote"
    if record.removed:
        return "removed"
    container = seen.observed.get(record.container_id)
    if container is None:
        return "missing"
    if container.running:
        return container.state
    expected = family.desired == "running" and record.version == family.current
    return "exited" if expected else "stopped"
