"""The storage driver overlay2: Docker's inspect names the upper directory, <data root>/overlay2/<id>/diff."""

import re

from app.adapters.docker.client import Clients
from app.adapters.docker.errors import translate_errors
from app.errors import LayerCopyFailed
from app.model.messages import Text

NO_LAYER = Text("Docker's storage driver shows no writable layer; gpudock needs overlay2 (flask doctor)")
_LAYER = re.compile(r"(?P<root>(/[^/]+)+)/overlay2/[^/]+/diff")


class Overlay2Locator:
    """Implements `ports.LayerLocator` for Docker's own overlay2."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def locate(self, container: str) -> str:
        with translate_errors():
            raw = self._clients.quick().inspect_container(container)
        directory = ((raw.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
        if directory is None:
            raise LayerCopyFailed(NO_LAYER)
        return str(directory)

    def root(self, path: str) -> str | None:
        match = _LAYER.fullmatch(path)
        return match["root"] if match else None
