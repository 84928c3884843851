"""The names of images, as Docker understands them."""

import re

from docker import APIClient
from docker.errors import APIError
from docker.utils import parse_repository_tag

from app.adapters.docker.errors import reason
from app.errors import InvalidRequest
from app.model.messages import Text

# Docker's own check comes too late: dots in a path lead out of /images/ before the engine sees them.
IMAGE = re.compile(r"[a-zA-Z0-9][\w.-]*([/:@]\w[\w.-]*)*", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}")


def check_new(client: APIClient, name: str) -> None:
    """Raise InvalidRequest for what cannot be the name of a new image. Docker says so when asked for such an image."""
    if "@" in name:  # docker-py would take what follows as the tag
        raise InvalidRequest(Text("{name} cannot be an image's name: a digest cannot be chosen", name=repr(name)))
    if not IMAGE.fullmatch(name):
        raise InvalidRequest(Text("{name} cannot be an image's name", name=repr(name)))
    try:
        client.inspect_image(unlike_an_id(name))  # type: ignore[no-untyped-call]
    except APIError as exc:
        if exc.status_code == 400:
            raise InvalidRequest(
                Text("{name} cannot be an image's name: {why}", name=repr(name), why=reason(exc))
            ) from exc
        if exc.status_code != 404:
            raise


def parts(name: str) -> tuple[str, str | None]:
    """Split an image's name into repository and tag."""
    repository, tag = parse_repository_tag(name)
    return unlike_an_id(repository), tag


def unlike_an_id(name: str) -> str:
    """Spell the name out if it has 64 hex digits, as after an unnamed commit: Docker would take it for an id."""
    return f"docker.io/library/{name}" if _ID.fullmatch(name) else name
