"""What a page shows while some parts are down: everything that the others know, and what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from app.domain.naming import Name
from app.errors import Unavailable
from app.pages import recorded
from app.pages.asked import Wanted
from app.services.gpus import GpuView
from app.services.inquiry import Page
from app.services.operations import OperationPage
from app.services.volumes.inquiry import VolumePage, VolumeView
from app.web import services

PAGE_SIZE = 50
T = TypeVar("T")


@dataclass
class Seen:
    """What there is, as far as it can be told; `problems` says by part why not all can.

    None means that it is not known, unlike an empty list. `container_names` and `volume_names` are those that have
    a page here.
    """

    problems: dict[str, str] = field(default_factory=dict)
    gpus: Sequence[GpuView] | None = None
    containers: Page | None = None
    volumes: VolumePage | None = None
    operations: OperationPage | None = None
    container_names: frozenset[str] = frozenset()
    volume_names: frozenset[str] = frozenset()

    def see_gpus(self) -> None:
        """Read the GPUs."""
        self.gpus = self._ask(services().gpus.all)

    def see_containers(self, wanted: Wanted) -> None:
        """Read the containers, one page of them; while Docker is down from etcd alone, and then in any state."""
        self.containers = self._ask(
            lambda: services().inquiry.containers(**vars(wanted), limit=PAGE_SIZE),
            lambda: recorded.containers(wanted.name),
        )

    def see_volumes(self, wanted: Wanted) -> None:
        """Read the volumes, one page of them; while Docker is down from etcd alone, and then in any state."""
        self.volumes = self._ask(
            lambda: services().volumes.inquiry.volumes(**vars(wanted), limit=PAGE_SIZE),
            lambda: recorded.volumes(wanted.name),
        )

    def see_volume(self, name: Name) -> VolumeView:
        """One volume, while Docker is down from etcd alone; VolumeNotFound if there is none."""
        try:
            return services().volumes.inquiry.volume(name)
        except Unavailable as exc:
            if exc.part == "etcd":
                raise
            self.problems[exc.part] = exc.message
            return recorded.volume(name)

    def see_operations(self, wanted: Wanted) -> None:
        """Read the operations, one page of them."""
        self.operations = self._ask(lambda: services().operations.all(**vars(wanted), limit=PAGE_SIZE))

    def see_names(self) -> None:
        """Find out which containers and volumes have a page here."""
        self.container_names = self._ask(lambda: recorded.names(services().records)) or frozenset()
        self.volume_names = self._ask(lambda: recorded.names(services().volumes.records)) or frozenset()

    @property
    def indexes(self) -> dict[str, int]:
        """The index of each GPU by its UUID, as far as known."""
        return {view.gpu.uuid: view.gpu.index for view in self.gpus or ()}

    def _ask(self, *ways: Callable[[], T]) -> T | None:
        """What the first way finds out for which all parts answer; None if there is no such way."""
        for way in ways:
            if "etcd" in self.problems:  # it would only make the caller wait for another timeout
                return None
            try:
                return way()
            except Unavailable as exc:
                self.problems[exc.part] = exc.message
        return None
