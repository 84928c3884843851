"""Translates what docker-py raises into gpudock's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker.errors import APIError, DockerException, create_api_error_from_http_exception

from app.errors import (
    ContainerExists,
    ContainerNotFound,
    DomainError,
    ImageNotFound,
    NotFound,
    OperationFailed,
    PortTaken,
    StartFailed,
    StartRefused,
    Unavailable,
)
from app.model.container import ContainerPlan
from app.model.messages import Text

_LAYERS_ABOVE = re.compile(r".*(?:unable to start container process|process caused|exec failed): ", re.DOTALL)
_HOLDER = re.compile(r'in use by container "?([0-9a-f]{12})')
_PORT = re.compile(r":(\d+)(?: failed)?: (?:port is already allocated|bind: address already in use)")
# Docker reports these with status 500, like its own failures; seen with Docker 20.10 and runc 1.1.
_GPU_TROUBLE = ("nvidia-container", "could not select device driver", "running hook", "running prestart hook", "CDI")
_SPEC_AT_FAULT = (
    "executable file not found",
    "exec format error",
    "permission denied",
    "no such file or directory",
    "not a directory",
    "error while mounting volume",
    "error mounting",
    "invalid volume specification",
    "invalid mount",
)


@contextmanager
def translate_errors(
    failure: type[DomainError] = OperationFailed, missing: type[NotFound] = ContainerNotFound
) -> Iterator[None]:
    """Raise Unavailable if Docker is down, hangs or has no disk left, `missing` for a 404, `failure` for the rest."""
    try:
        yield
    except APIError as exc:
        raise _answered(exc, failure, missing) from exc
    # Everything below requests and docker-py ends up here: refused, reset, timed out, cut off, not Docker at all.
    except (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as exc:
        raise Unavailable("docker", Text("Docker does not answer; see whether its service runs")) from exc


def answered(response: requests.Response) -> requests.Response:
    """Return the response, if it is no error; raise APIError otherwise. For requests past docker-py's own methods."""
    try:
        response.raise_for_status()
    except requests.HTTPError as exc:
        create_api_error_from_http_exception(exc)
    return response


def create_error(exc: APIError, plan: ContainerPlan) -> DomainError | None:
    """Find out what is wrong with a plan that Docker does not create; None if it is Docker that fails."""
    text = _text(exc)
    if exc.status_code == 409:
        return ContainerExists(_taken(plan.name, _HOLDER.search(text)))
    if exc.status_code == 404:
        return ImageNotFound(Text("the image {name} is not on this host any more", name=repr(plan.spec.image)))
    if exc.status_code == 400 or any(sign in text for sign in _SPEC_AT_FAULT):
        return StartRefused(Text("Docker does not accept the container as described: {why}", why=reason(exc)))
    return None


def start_error(exc: APIError) -> DomainError:
    """Find out why a container did not start: for the port's, the caller's or the host's fault."""
    text = _text(exc)
    if taken := _PORT.search(text):
        message = Text("port {port} of the host is in use; choose another one", port=taken[1])
        return PortTaken(message, hostPort=int(taken[1]))
    if any(sign in text for sign in _GPU_TROUBLE):
        return StartFailed(Text("Docker's GPU runtime could not start the container; `flask doctor` examines it"))
    if exc.status_code == 400 or any(sign in text for sign in _SPEC_AT_FAULT):
        return StartRefused(Text("the container cannot be started as described: {why}", why=reason(exc)))
    return _answered(exc, StartFailed, ContainerNotFound)


def reason(exc: APIError) -> str:
    """Give Docker's explanation on one line, without the names of the layers that it came through."""
    return plain(_text(exc))


def plain(text: str) -> str:
    """Cut a message of Docker or its runtime down to its core, on one line."""
    core = _LAYERS_ABOVE.sub("", text).replace(": unknown", "")
    return " ".join(core.split()) or Text("Docker gives no reason")


def _taken(name: str, holder: re.Match[str] | None) -> Text:
    if holder is None:
        return Text("the name {name} is taken in Docker by another container; remove or rename that one", name=name)
    return Text(
        "the name {name} is taken in Docker by container {holder}; remove or rename that one",
        name=name,
        holder=holder[1],
    )


def _answered(exc: APIError, failure: type[DomainError], missing: type[NotFound]) -> DomainError:
    if "no space left on device" in _text(exc):
        return Unavailable("disk", Text("the disk of the Docker host is full"))
    if exc.status_code == 404:
        return missing(Text("Docker says: {what}", what=reason(exc)))
    # What Docker says of its own failures is for the log, which has the whole chain of causes.
    return failure(
        Text("Docker could not do it; its reason is in gpudock's log under the id of the request or operation")
    )


def _text(exc: APIError) -> str:
    return str(exc.explanation or "")
