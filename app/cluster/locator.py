"""The node that a container, a volume or a GPU is on."""

from dataclasses import dataclass

from app.cluster.gpus import GpusElsewhere
from app.cluster.nodes import Nodes
from app.errors import InvalidRequest
from app.model.names import CONTAINER, VOLUME, Name, parse
from app.model.operation import PastOperation
from app.ports import StoreReader
from app.state.codec import try_read
from app.state.containers import Records
from app.state.keys import CONTAINERS, HISTORY, LEFTOVERS, VOLUMES, observed_prefix
from app.state.volumes import VolumeRecords

KINDS = (CONTAINERS, VOLUMES, "gpus")


@dataclass(frozen=True)
class Locator:
    """Finds the node of something by its name."""

    store: StoreReader
    nodes: Nodes
    records: Records
    volumes: VolumeRecords
    gpus: GpusElsewhere

    def elsewhere(self, kind: str, name: str) -> str | None:
        """The other node whose it is; None if it is this one's, or nobody's. `kind` is one of KINDS."""
        if kind == "gpus":
            return next((view.node for view in self.gpus.views() if view.gpu.uuid == name), None)
        home = self._named(kind, name)
        return None if home == self.records.node else home

    def _named(self, kind: str, text: str) -> str | None:
        try:
            name = parse(text, VOLUME if kind == VOLUMES else CONTAINER)
        except InvalidRequest:  # whoever is to answer says so
            return None
        home = (self.volumes if kind == VOLUMES else self.records).home(name.family)
        if home is None and name.version is not None and self.nodes.others():
            return self._leftover(kind, name) or self._last_worked_on(kind, name.family)
        return home

    def _leftover(self, kind: str, name: Name) -> str | None:
        """The node that has a container of an erased family; those are known by their versioned names only."""
        for entry in self.store.list(observed_prefix(LEFTOVERS)) if kind == CONTAINERS else ():
            node, _, found = entry.key.removeprefix(observed_prefix(LEFTOVERS)).partition("/")
            if found == str(name):
                return node
        return None

    def _last_worked_on(self, kind: str, family: str) -> str | None:
        """Return the node that erased the family, perhaps just now: reports come late, none of old volumes."""
        for entry in reversed(self.store.list(HISTORY)):
            if (entry.value.get("resource", CONTAINERS), entry.value.get("family")) == (kind, family):
                return past.node if (past := try_read(PastOperation, entry)) else None
        return None
