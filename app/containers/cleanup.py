"""Let go of what nobody needs any more, mostly after the commit point. A failure is logged; nothing is lost by it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from app.containers.undo import Undo
from app.errors import DomainError
from app.model.container import VersionRecord
from app.operations.journal import Journal
from app.ports import DockerVolumes, Layers
from app.state.keys import CONTAINERS
from app.state.retained_data import RetainedData

log = structlog.get_logger()


class Cleanup:
    """Frees set-aside layers, images and anonymous volumes after an operation's success."""

    def __init__(
        self, journal: Journal, docker_volumes: DockerVolumes, layers: Layers, undo: Undo, asides: RetainedData
    ) -> None:
        self._journal = journal
        self._docker_volumes = docker_volumes
        self._layers = layers
        self._undo = undo
        self._asides = asides

    def superseded(self, record: VersionRecord | None) -> None:
        """The next version has everything that `record` had; None if it began with another one's files."""
        with self._logged():
            if record is not None and record.layer is not None:
                self._asides.drop(CONTAINERS, record.family, record.version)
            self._journal.trim_history()

    def empty(self, records: Sequence[VersionRecord], volumes: Sequence[str]) -> None:
        """These records are about to go: what was set aside for them goes, and `volumes` and those of their containers
        too, as far as no other container uses them.
        """
        for layer in {record.layer for record in records} - {None}:
            with self._logged():
                self._layers.discard(str(layer))
        for volume in {*volumes, *(v for record in records for v in record.anonymous.values())}:
            with self._logged():
                self._docker_volumes.remove_volume(volume)

    def erased(self, records: Sequence[VersionRecord]) -> None:
        """These records are gone: their images too, as far as nobody else needs them."""
        for image in {record.image_id for record in records}:
            with self._logged():
                self._undo.release_image(image)
        self._journal.trim_history()

    @contextmanager
    def _logged(self) -> Iterator[None]:
        try:
            yield
        except DomainError as exc:
            log.warning("could not tidy up after an operation", reason=exc.message)
