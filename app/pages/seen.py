"""What a page shows while some parts are down: everything that the others know, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.naming import versioned
from app.errors import Unavailable
from app.services.gpus import GpuView
from app.services.inquiry import ContainerView, Page
from app.web import services

PAGE_SIZE = 50


@dataclass
class Seen:
    """The GPUs and containers as far as they can be told; `problems` says by part why not all can.

    None means that it is not known, unlike an empty list.
    """

    problems: dict[str, str] = field(default_factory=dict)
    gpus: Sequence[GpuView] | None = None
    containers: Page | None = None

    def see_gpus(self) -> None:
        """Read the GPUs."""
        try:
            self.gpus = services().gpus.all()
        except Unavailable as exc:
            self.problems[exc.part] = exc.message

    def see_containers(self, state: str | None = None, name: str | None = None, after: str | None = None) -> None:
        """Read the containers, one page of them; while Docker is down from etcd alone, and then all of them."""
        if "etcd" in self.problems:  # it would only make the caller wait for another timeout
            return
        try:
            self.containers = services().inquiry.containers(state=state, name=name, after=after, limit=PAGE_SIZE)
        except Unavailable as exc:
            self.problems[exc.part] = exc.message
            if exc.part == "docker":
                self._see_records()

    @property
    def indexes(self) -> dict[str, int]:
        """The index of each GPU by its UUID, as far as known."""
        return {view.gpu.uuid: view.gpu.index for view in self.gpus or ()}

    def _see_records(self) -> None:
        try:
            self.containers = _recorded()
        except Unavailable as exc:
            self.problems[exc.part] = exc.message


def _recorded() -> Page:
    records = services().records
    families, versions = records.everything()
    claims = records.claims()
    views = []
    for family in families:
        newest = versions[versioned(family.family, family.current)]
        views.append(ContainerView(family, newest, "unknown", tuple(claims.gpus_of(family.family))))
    return Page(tuple(views), None)
