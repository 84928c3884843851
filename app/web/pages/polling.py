"""The part of a page that keeps itself up to date: a browser asks for it every few seconds, and gets what changed."""

import hashlib
from typing import Any

from flask import make_response, render_template, request
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from werkzeug.wrappers import Response

SECONDS = 3


def page(template: str, every: int = SECONDS, **context: Any) -> Response:
    """`template` with its live part, the template `live/<template>`, in its variable `live`; both get the `context`.

    htmx asks the same address every `every` seconds, and gets the live part alone, or 304 if it has that already.
    """
    part = render_template(f"live/{template}", **context)
    tag = _tag(part)
    if "HX-Request" in request.headers:
        return _alone(part, tag)
    frame = render_template("live/_frame.html", part=Markup(part), tag=tag, every=every)
    return make_response(render_template(template, live=Markup(frame), **context))


def _alone(part: str, tag: str) -> Response:
    response = make_response(part)
    response.set_etag(tag)
    response.vary.add("HX-Request")
    return response.make_conditional(request)


def _tag(part: str) -> str:
    """The same for parts that look the same: the token in their forms is another one every time."""
    return hashlib.blake2b(part.replace(generate_csrf(), "").encode(), digest_size=12).hexdigest()
