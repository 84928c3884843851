"""The volumes of this host's Docker, whoever made them, through docker-py."""

import re

from docker.errors import APIError, NotFound

from app.adapters.docker import unmanaged
from app.adapters.docker.client import Clients
from app.adapters.docker.errors import translate_errors
from app.model.adoption import UnmanagedVolume

# Seconds that Docker may take to delete the files of a volume.
_REMOVE = 120
_NAME = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)


class EngineVolumes:
    """Implements `ports.DockerVolumes` for the engine that `clients` speak to; it need not be up yet."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def volume_exists(self, name: str) -> bool:
        with translate_errors():
            try:
                self._clients.quick().inspect_volume(name)
            except NotFound:
                return False
        return True

    def volume_names(self) -> set[str]:
        with translate_errors():
            return {raw["Name"] for raw in self._clients.quick().volumes()["Volumes"] or ()}

    def volume(self, name: str) -> UnmanagedVolume | None:
        if not _NAME.fullmatch(name):
            return None
        with translate_errors():
            try:
                return unmanaged.volume(self._clients.quick().inspect_volume(name))
            except NotFound:
                return None

    def remove_volume(self, name: str) -> None:
        with translate_errors():
            try:
                self._clients.patient(_REMOVE).remove_volume(name)
            except APIError as exc:
                if exc.status_code not in (404, 409):
                    raise
