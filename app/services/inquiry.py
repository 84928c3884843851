"""Which containers there are: the records of all nodes, with what this node's Docker says about its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.containers import FamilyRecord, Observed, VersionRecord
from app.domain.naming import Name
from app.ports import Engine
from app.services.records import Claims, Records

STATES = ("running", "paused", "restarting", "stopped", "exited", "missing", "removed", "remote")


@dataclass(frozen=True)
class VersionView:
    """One version: its record, and the state of its container."""

    record: VersionRecord
    state: str


@dataclass(frozen=True)
class ContainerView:
    """A family: its newest version, the GPUs it holds now by UUID, and (when one is asked for) all versions.

    `state` is one of STATES: exited means that it should run and does not, missing that Docker lost it,
    removed that only the record is left, remote that another node knows.
    """

    family: FamilyRecord
    newest: VersionRecord
    state: str
    gpus: tuple[str, ...]
    versions: tuple[VersionView, ...] = ()


@dataclass(frozen=True)
class Page:
    """Some containers in the order of their names, and the family after which the next page begins, if any."""

    containers: tuple[ContainerView, ...]
    after: str | None


class Inquiry:
    """Reads containers for lists and pages."""

    def __init__(self, records: Records, engine: Engine) -> None:
        self._records = records
        self._engine = engine

    def containers(
        self,
        state: str | None = None,
        gpu: str | None = None,
        name: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """At most `limit` containers after the family `after`: in that state, holding that GPU, so named in part."""
        found = [
            view
            for view in self._views()
            if (state is None or view.state == state)
            and (gpu is None or gpu in view.gpus)
            and (name is None or name in view.newest.name)
            and (after is None or view.family.family > after)
        ]
        more = found[limit - 1].family.family if len(found) > limit else None
        return Page(tuple(found[:limit]), more)

    def container(self, name: Name) -> ContainerView:
        """The family of `name` with its versions, newest first; ContainerNotFound if that version never was."""
        self._records.version(name)
        state = self._records.require(name)
        observed = self._observed()
        versions = tuple(
            VersionView(record, self._state(state.record, record, observed))
            for record in reversed(self._records.versions(name.family))
        )
        newest = self._state(state.record, state.current, observed)
        gpus = tuple(self._records.claims().gpus_of(name.family))
        return ContainerView(state.record, state.current, newest, gpus, versions)

    def _views(self) -> Sequence[ContainerView]:
        families, versions = self._records.everything()
        observed, claims = self._observed(), self._records.claims()
        return [self._view(f, versions[f"{f.family}-{f.current}"], observed, claims) for f in families]

    def _view(
        self, family: FamilyRecord, newest: VersionRecord, observed: dict[str, Observed], claims: Claims
    ) -> ContainerView:
        state = self._state(family, newest, observed)
        return ContainerView(family, newest, state, tuple(claims.gpus_of(family.family)))

    def _observed(self) -> dict[str, Observed]:
        return {container.id: container for container in self._engine.list()}

    def _state(self, family: FamilyRecord, record: VersionRecord, observed: dict[str, Observed]) -> str:
        if record.node != self._records.node:
            return "remote"
        if record.removed:
            return "removed"
        container = observed.get(record.container_id)
        if container is None:
            return "missing"
        if container.running:
            return container.state
        expected = family.desired == "running" and record.version == family.current
        return "exited" if expected else "stopped"
