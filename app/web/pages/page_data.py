"""The data of a page while some parts are down: everything that the others know, and what was known last."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from flask import g

from app.containers.queries import ContainerView, Page
from app.errors import GpuNotFound, Unavailable, UnreadableRecord
from app.gpus.queries import GpuView
from app.images.queries import ImageView
from app.model.alerts import DiskSpace
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import id_at
from app.operations.queries import OperationPage, OperationView
from app.volumes.queries import VolumePage, VolumeView
from app.web.last_known_cache import last_known
from app.web.pages import etcd_fallback
from app.web.pages.form_values import ListFilter
from app.web.request_scope import services

PAGE_SIZE = 50
T = TypeVar("T")
V = TypeVar("V", ContainerView, VolumeView)


@dataclass
class PageData:
    """The data of one page, as far as it can be told; `problems` says by part why not all can.

    None means that it is not known, unlike an empty list. What a part that is down knew last counts as known: `age`
    is that of the oldest of it, in seconds. `container_names` and `volume_names` are those that have a page here.
    """

    problems: dict[str, str] = field(default_factory=dict)
    age: float | None = None
    gpus: Sequence[GpuView] | None = None
    containers: Page | None = None
    volumes: VolumePage | None = None
    operations: OperationPage | None = None
    recent_operations: Sequence[OperationView] | None = None
    images: Sequence[ImageView] | None = None
    disks: Sequence[DiskSpace] | None = None
    unreadable: Sequence[UnreadableRecord] | None = None
    container_names: frozenset[str] = frozenset()
    volume_names: frozenset[str] = frozenset()
    _failures: dict[str, Unavailable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note the part that was found to be down before the view ran: it is not asked again."""
        if failure := g.get("etcd_failure"):
            self._fail(failure)

    def load_gpus(self) -> None:
        """Read the GPUs."""
        self.gpus = self.fetch("gpus", services().gpus.all)

    def load_gpu(self, uuid: str) -> GpuView:
        """Read the GPUs and find that one; GpuNotFound if there is none, Unavailable if that is not known."""
        self.gpus = self.require("gpus", services().gpus.all)
        view = next((view for view in self.gpus if view.gpu.uuid == uuid), None)
        if view is None and self.problems:
            raise self._failure
        if view is None:
            raise GpuNotFound(Text("there is no GPU {uuid}; the list of GPUs has them all", uuid=repr(uuid[:60])))
        return view

    def load_containers(self, criteria: ListFilter, limit: int = PAGE_SIZE) -> None:
        """Read the containers, one page of them; without Docker those known last, else in any state from etcd alone."""
        self.containers = self.fetch(
            ("containers", criteria, limit),
            lambda: services().containers.queries.page(**vars(criteria), limit=limit),
            lambda: etcd_fallback.containers(criteria.name),
        )

    def load_volumes(self, criteria: ListFilter, limit: int = PAGE_SIZE) -> None:
        """Read the volumes, one page of them; without Docker those known last, else in any state from etcd alone."""
        self.volumes = self.fetch(
            ("volumes", criteria, limit),
            lambda: services().volumes.queries.page(**vars(criteria), limit=limit),
            lambda: etcd_fallback.volumes(criteria.name),
        )

    def load_container(self, name: Name, even_old: bool = False) -> ContainerView:
        """One container, while Docker is down as known last or from etcd alone; ContainerNotFound if there is none.

        While etcd is down as known last if it may be `even_old`, otherwise Unavailable.
        """
        question = ("container", name.family)
        found = self._one(
            question, lambda: services().containers.queries.show(name), lambda: etcd_fallback.container(name)
        )
        return self._fitting(found, name, even_old)

    def load_volume(self, name: Name, even_old: bool = False) -> VolumeView:
        """One volume, as `load_container`; VolumeNotFound if there is none."""
        question = ("volume", name.family)
        found = self._one(question, lambda: services().volumes.queries.show(name), lambda: etcd_fallback.volume(name))
        return self._fitting(found, name, even_old)

    def load_operations(self, criteria: ListFilter, limit: int = PAGE_SIZE) -> None:
        """Read the operations, one page of them."""
        self.operations = self.fetch(
            ("operations", criteria, limit), lambda: services().operations.queries.all(**vars(criteria), limit=limit)
        )

    def load_recent_operations(self, seconds: float) -> None:
        """Read the operations that run, and those that began in the last `seconds`."""
        begun = id_at(time.time() - seconds)
        self.recent_operations = self.fetch("recent operations", lambda: services().operations.queries.since(begun))

    def load_disks(self) -> None:
        """Find out how full the disks are, of this node and of the others."""
        space = services().volumes.disk_usage
        found = [self.fetch("disks", space.here), self.fetch("disks elsewhere", space.elsewhere)]
        self.disks = None if found == [None, None] else [disk for disks in found for disk in disks or ()]

    def load_unreadable(self) -> None:
        """Find out which records in etcd cannot be read."""
        self.unreadable = self.fetch("unreadable", services().unreadable.all)

    def load_images(self, name: str | None = None, unused: bool = False) -> None:
        """Read the images: all, those with `name` in a name, or those that nobody needs."""
        self.images = self.fetch(("images", name, unused), lambda: services().images.all(name, unused))

    def load_names(self) -> None:
        """Find out which containers and volumes have a page here."""
        known = self.fetch("container names", lambda: etcd_fallback.names(services().containers.records))
        self.container_names = known or frozenset()
        known = self.fetch("volume names", lambda: etcd_fallback.names(services().volumes.records))
        self.volume_names = known or frozenset()

    @property
    def indexes(self) -> dict[str, int]:
        """The index of each GPU by its UUID, as far as known."""
        return {view.gpu.uuid: view.gpu.index for view in self.gpus or ()}

    def fetch(self, question: Hashable, load: Callable[[], T], fallback: Callable[[], T] | None = None) -> T | None:
        """Return what `load` finds out; while a part is down what it found last, else `fallback`'s, else None."""
        value = self._found(question, load)
        if value is None:
            value = self._known(question)
        return self._try(fallback) if value is None and fallback is not None else value

    def require(self, question: Hashable, load: Callable[[], T]) -> T:
        """The same for what a page is about: Unavailable if nothing is known of it."""
        value = self.fetch(question, load)
        if value is None:
            raise self._failure
        return value

    @property
    def _failure(self) -> Unavailable:
        """Return the error for which something is not known: without etcd nothing is."""
        return self._failures.get("etcd") or next(iter(self._failures.values()))

    def _one(self, question: Hashable, load: Callable[[], V], fallback: Callable[[], V]) -> V | None:
        """Return what `load` finds; without Docker what it found last if that fits the records, which `fallback` reads.

        Without etcd what it found last, None if nothing.
        """
        found = self._found(question, load)
        if found is not None:
            return found
        now = self._try(fallback)
        known = self._known(question, lambda known: now is None or _records(known) == _records(now))
        return now if known is None else known

    def _found(self, question: Hashable, load: Callable[[], T]) -> T | None:
        """Return what `load` finds out, and remember it; None if a part is down."""
        value = self._try(load)
        if value is not None:
            last_known().remember(question, value)
        return value

    def _known(self, question: Hashable, fits: Callable[[T], bool] = lambda _: True) -> T | None:
        """Return what was found out last, if it `fits`."""
        known = last_known().recall(question)
        if known is None or not fits(known[0]):
            return None
        self.age = max(self.age or 0.0, known[1])
        return cast(T, known[0])

    def _fitting(self, found: V | None, name: Name, even_old: bool) -> V:
        """Return what was found, if it has the version that `name` means and is not older than it may be."""
        old = "etcd" in self.problems
        if found is None or (old and not (even_old and _has(found, name))):
            raise self._failure
        return found

    def _try(self, load: Callable[[], T]) -> T | None:
        if "etcd" in self.problems:  # it would only make the caller wait for another timeout
            return None
        try:
            return load()
        except Unavailable as exc:
            self._fail(exc)
            return None

    def _fail(self, failure: Unavailable) -> None:
        self.problems[failure.part] = failure.message
        self._failures[failure.part] = failure


def _has(view: ContainerView | VolumeView, name: Name) -> bool:
    return name.version is None or any(version.record.version == name.version for version in view.versions)


def _records(view: ContainerView | VolumeView) -> list[object]:
    return [version.record for version in view.versions]
