"""The registry of layer locators: one line for each of Docker's storage drivers."""

from collections.abc import Callable, Mapping

from app.adapters.docker.client import Clients
from app.adapters.docker.errors import translate_errors
from app.adapters.docker.layers.overlay2 import NO_LAYER, Overlay2Locator
from app.errors import LayerCopyFailed
from app.ports import LayerLocator

# By the name that `docker info` gives the storage driver.
LOCATORS: dict[str, Callable[[Clients], LayerLocator]] = {
    "overlay2": Overlay2Locator,
}


class DriverLocator:
    """Implements `ports.LayerLocator` by the locator of the storage driver in use; Docker need not be up yet."""

    def __init__(self, clients: Clients, locators: Mapping[str, Callable[[Clients], LayerLocator]] = LOCATORS) -> None:
        self._clients, self._locators = clients, locators
        self._found: LayerLocator | None = None

    def locate(self, container: str) -> str:
        return self._locator().locate(container)

    def root(self, path: str) -> str | None:
        return self._locator().root(path)

    def _locator(self) -> LayerLocator:
        if self._found is None:
            with translate_errors():
                driver = self._clients.quick().info()["Driver"]
            if driver not in self._locators:
                raise LayerCopyFailed(NO_LAYER)
            self._found = self._locators[driver](self._clients)
        return self._found
