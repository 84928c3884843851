"""The scope of a request: its id, and the services of the app that serves it."""

import re
import uuid
from collections.abc import Callable
from typing import cast

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from app.bootstrap import Services
from app.errors import DomainError
from app.model.container import Spec
from app.operations.requester import API, ITSELF, PAGE, Requester, set_requester

# A request that another node has sent on is answered here, and sent nowhere else. Its value is the name of this node.
FORWARDED = "X-Gpudock-Node"
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


def services() -> Services:
    """The services of the current app."""
    return cast(Services, current_app.extensions["gpudock"])


def forwarded() -> bool:
    """Tell whether another node has sent this request here, since it is this one's to answer."""
    return FORWARDED in request.headers


def place_container(family: str, spec: Spec, node: str | None = None) -> None:
    """Return if a new container is to be made here, see `Placement.container`; OnAnotherNode otherwise."""
    services().placement.container(family, spec, services().config.node if forwarded() else node)


def place_volume(node: str | None = None) -> None:
    """Return if a new volume is to be made here, see `Placement.volume`; OnAnotherNode otherwise."""
    services().placement.volume(services().config.node if forwarded() else node)


def answer_at(node: str | None) -> None:
    """Return if `node` is this one, or if none is named; otherwise OnAnotherNode, so that the request goes there.

    Raises NodeNotFound.
    """
    place_volume(node)


def if_unreachable(show: Callable[[DomainError], ResponseReturnValue]) -> None:
    """If another node is to answer this request and cannot be asked, the answer is what `show` makes of the error."""
    g.if_unreachable = show


def init_app(app: Flask) -> None:
    """Give each request an id, the caller's own `X-Request-Id` if it is a plain word, and send it back.

    What it changes is recorded as asked for by the API or by a page, in this request.
    """

    @app.before_request
    def give_id() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        set_requester(Requester(API if request.path.startswith("/api/") else PAGE, request=g.request_id))

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        set_requester(ITSELF)

    @app.after_request
    def send_id(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        return response
