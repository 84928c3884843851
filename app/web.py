"""What every request needs: its id, and the services of the app that serves it."""

import re
import uuid
from typing import cast

from flask import Flask, current_app, g, request
from flask.wrappers import Response

from app.backends import Services

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


def services() -> Services:
    """The services of the current app."""
    return cast(Services, current_app.extensions["gpudock"])


def init_app(app: Flask) -> None:
    """Give each request an id, the caller's own `X-Request-Id` if it is a plain word, and send it back."""

    @app.before_request
    def give_id() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def send_id(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        return response
