"""The images of this host, through docker-py."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from docker.errors import APIError, NotFound

from app.adapters.docker import labels, pull
from app.adapters.docker import names as image_names
from app.adapters.docker.client import Clients
from app.adapters.docker.errors import reason, translate_errors
from app.errors import ImageInUse, ImageNotFound, ImageRemoveFailed, OperationFailed
from app.model.image import LocalImage, PullState
from app.model.messages import Text

# Seconds that Docker may take to delete the layers of an image.
_REMOVE = 300
_HELD, _NONE = "gpudock-held:", "<none>"


class DockerImages:
    """Implements `ports.Images` for the engine at `base_url`; it need not be up yet."""

    def __init__(self, base_url: str) -> None:
        self._clients = Clients(base_url)

    def all(self) -> list[LocalImage]:
        """Every image that has a name, a container or no image built on it, the newest first."""
        with translate_errors():
            found = [_image(raw) for raw in self._clients.quick().images()]
        return sorted(found, key=lambda image: (image.created, image.id), reverse=True)

    def users(self) -> dict[str, set[str]]:
        """The names of the containers, anybody's, running or not, that were made of an image, by the image's id."""
        with translate_errors():
            listed = self._clients.quick().containers(all=True)
        found: dict[str, set[str]] = {}
        for raw in listed:
            names = [name.removeprefix("/") for name in raw["Names"] or () if name.count("/") == 1]
            found.setdefault(raw["ImageID"], set()).update(names or [raw["Id"][:12]])
        return found

    def pull(self, name: str, tell: Callable[[PullState], None]) -> None:
        """Load an image from its registry; `tell` hears how far it is, and ends it by raising.

        Raises RegistryUnreachable, ImageNotInRegistry or ImagePullFailed.
        """
        pull.pull(self._clients, name, tell)

    def tag(self, image_id: str, name: str) -> None:
        """Give the image one more name, taken from any other image; ImageNotFound, InvalidRequest for the name."""
        with translate_errors(OperationFailed, missing=ImageNotFound):
            client = self._clients.quick()
            image_names.check_new(client, name)
            client.tag(image_id, *image_names.parts(name))

    def remove(self, name: str) -> None:
        """Take a name away, or with an id the image itself; the last name goes with the image.

        Nothing happens if it is gone already. ImageInUse if a container or an image that was built on it needs it.
        """
        with translate_errors(ImageRemoveFailed):
            try:
                self._clients.patient(_REMOVE).remove_image(name)
            except NotFound:
                return
            except APIError as exc:
                if exc.status_code == 409:
                    raise ImageInUse(Text("{name} stays: {why}", name=name, why=reason(exc))) from exc
                raise


def _image(raw: dict[str, Any]) -> LocalImage:
    tags = [tag for tag in raw["RepoTags"] or () if not tag.startswith((_HELD, _NONE))]
    digests = [name for name in raw["RepoDigests"] or () if not name.startswith(_NONE)]
    created = datetime.fromtimestamp(raw["Created"], UTC).isoformat(timespec="milliseconds")
    return LocalImage(
        id=raw["Id"],
        names=tuple(sorted(tags)),
        digests=tuple(sorted(digests)),
        size=raw["Size"],
        created=created,
        committed=labels.read_commit(raw["Labels"]),
        maker=labels.read_maker(raw["Labels"]),
    )
