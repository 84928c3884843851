"""The images of this host, through docker-py."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from docker.errors import APIError, NotFound

from app.adapters.docker import image_tags, labels, pull
from app.adapters.docker import names as image_names
from app.adapters.docker.client import Clients
from app.adapters.docker.errors import reason, translate_errors
from app.errors import CommitFailed, DeleteFailed, ImageInUse, ImageNotFound, ImageRemoveFailed, OperationFailed
from app.model.container import Image
from app.model.image import LocalImage, PullState
from app.model.messages import Text

# Seconds that Docker may take to delete the layers of an image, and to pack one.
_REMOVE, _COMMIT = 300, 900
_HELD, _NONE = "gpudock-held", "<none>"


class DockerImages:
    """Implements `ports.Images` for the engine that `clients` speak to; it need not be up yet."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def image(self, name: str) -> Image:
        absent = ImageNotFound(
            Text("there is no image {name} on this host; pull or build it there first", name=repr(name))
        )
        if not image_names.IMAGE.fullmatch(name):
            raise absent
        with translate_errors():
            try:
                raw = self._clients.quick().inspect_image(image_names.unlike_an_id(name))  # type: ignore[no-untyped-call]
            except APIError as exc:
                if exc.status_code in (400, 404):
                    raise absent from exc
                raise
        return Image(raw["Id"], tuple(raw["Config"].get("Volumes") or ()))

    def hold_image(self, image_id: str) -> None:
        with translate_errors(missing=ImageNotFound):
            self._clients.quick().tag(image_id, _HELD, _held_tag(image_id))

    def release_image(self, image_id: str) -> None:
        with translate_errors():
            try:
                client = self._clients.patient(_REMOVE)
                client.remove_image(f"{_HELD}:{_held_tag(image_id)}", noprune=True)
            except APIError as exc:
                if exc.status_code not in (404, 409):  # gone already; the last name of what a container needs
                    raise

    def held_images(self) -> set[str]:
        with translate_errors():
            return image_tags.held(self._clients.quick(), _HELD)

    def nameless_commits(self) -> set[str]:
        with translate_errors():
            return image_tags.nameless_commits(self._clients.quick())

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        with translate_errors():
            image_names.check_new(self._clients.quick(), image_name)
        with translate_errors(CommitFailed):
            client, changes = self._clients.patient(_COMMIT), [*labels.blanked(), *self._origin(ref)]
            made = str(client.commit(ref, changes=[*changes, labels.committed_by(operation)])["Id"])
            # Docker goes on with a commit whose caller has died, and must not give the name away then.
            client.tag(made, *image_names.parts(image_name))
        return made

    def name_commit(self, operation: str, image_name: str) -> bool:
        with translate_errors(CommitFailed):
            return image_tags.name_commit(self._clients.quick(), operation, image_name)

    def drop_commit(self, operation: str) -> None:
        with translate_errors(DeleteFailed):
            image_tags.drop_commit(self._clients.patient(_REMOVE), operation)

    def all(self) -> list[LocalImage]:
        with translate_errors():
            found = [_image(raw) for raw in self._clients.quick().images()]
        return sorted(found, key=lambda image: (image.created, image.id), reverse=True)

    def users(self) -> dict[str, set[str]]:
        with translate_errors():
            listed = self._clients.quick().containers(all=True)
        found: dict[str, set[str]] = {}
        for raw in listed:
            names = [name.removeprefix("/") for name in raw["Names"] or () if name.count("/") == 1]
            found.setdefault(raw["ImageID"], set()).update(names or [raw["Id"][:12]])
        return found

    def pull(self, name: str, tell: Callable[[PullState], None]) -> None:
        pull.pull(self._clients, name, tell)

    def tag(self, image_id: str, name: str) -> None:
        with translate_errors(OperationFailed, missing=ImageNotFound):
            client = self._clients.quick()
            image_names.check_new(client, name)
            client.tag(image_id, *image_names.parts(name))

    def remove(self, name: str) -> None:
        with translate_errors(ImageRemoveFailed):
            try:
                self._clients.patient(_REMOVE).remove_image(name)
            except NotFound:
                return
            except APIError as exc:
                if exc.status_code == 409:
                    raise ImageInUse(Text("{name} stays: {why}", name=name, why=reason(exc))) from exc
                raise

    def _origin(self, ref: str) -> Sequence[str]:
        raw = self._clients.quick().inspect_container(ref)
        origin = labels.read(raw["Config"]["Labels"])
        return [labels.committed(origin.name)] if origin else []


def _image(raw: dict[str, Any]) -> LocalImage:
    tags = [tag for tag in raw["RepoTags"] or () if not tag.startswith((f"{_HELD}:", _NONE))]
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


def _held_tag(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:32]
