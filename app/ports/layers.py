"""The writable layers of containers: directories of this host."""

from typing import Protocol

from app.ports.transfer import Progress, Transfer


class LayerLocator(Protocol):
    """Know where one of Docker's storage drivers keeps the writable layers: nobody else does."""

    def locate(self, container: str) -> str:
        """Find the directory of the writable layer of the container with that id.

        Raises ContainerNotFound if there is none, LayerCopyFailed if the storage driver shows no such directory.
        """

    def root(self, path: str) -> str | None:
        """Find the driver's data root, above the layer at `path` and on its filesystem; None if that is no layer."""


class LayerReader(Protocol):
    """Look at writable layers."""

    def locate(self, container: str) -> str:
        """Find the directory of the writable layer of the container with that id.

        Raises ContainerNotFound if there is none, LayerCopyFailed if the storage driver shows no such directory.
        """

    def measure(self, path: str) -> tuple[int, int]:
        """Count the bytes on disk and the files of a layer, one set aside too, by walking through it.

        Raises LayerCopyFailed for any other path.
        """


class Layers(LayerReader, Protocol):
    """Carry writable layers from container to container."""

    def begin(self, source: str, target: str, progress: Progress) -> Transfer:
        """Prepare to make `target` equal to `source`, whatever is in `target`; nothing is copied yet."""

    def sync(self, path: str) -> None:
        """Write everything of the filesystem of the directory `path` to its disk, and return then."""

    def set_aside(self, layer: str, name: str) -> str:
        """Move a layer out of Docker's reach on its filesystem, and return its new path.

        `name` belongs to this layer alone. May be repeated when it is unknown how far it came.
        """

    def discard(self, path: str) -> None:
        """Delete a layer that was set aside; gone already is fine. LayerCopyFailed for any other path."""
