"""A form that is sent twice is carried out once: the second press of its button leads to where the first one led.

Every form that changes something carries a key of its own, but for buttons that do nothing the second time. What the
first request with it led to, and what the next page was to tell, is kept under that key as the API keeps its answers,
so it holds for all workers and nodes. A refusal is not kept: whoever repeats the form then means it.
"""

import json
import secrets
import time

from flask import flash, g, redirect, request, session
from werkzeug.wrappers import Response

from app.errors import FirstStillRuns, Unavailable
from app.model.messages import Text
from app.state.idempotency import KeyClaim, StoredAnswer, fingerprint
from app.web.pages.blueprint import blueprint
from app.web.pages.page_texts import _
from app.web.request_scope import services

FIELD = "once"
# What a form's button `wish` says if the form is to be carried out; without such a button it always is.
CREATE = "create"
# How long, in seconds, the second press waits for the first one: that is answered in a few seconds.
PATIENCE = 10.0
_LOOK_EVERY = 0.1


@blueprint.app_template_global()
def form_key() -> str:
    """A new key for one form on one page, to be sent in its field `once`."""
    return secrets.token_urlsafe(12)


@blueprint.before_request
def _begin() -> Response | None:
    key = request.form.get(FIELD) if request.method == "POST" else None
    if not key or _only_asks():
        return None
    g.flashes_before = len(_flashes())
    try:
        found = _claim(key)
    except Unavailable:  # what the form is for needs etcd too, and its page can say so and keep what was typed
        return None
    if isinstance(found, StoredAnswer):
        return _again(found)
    g.idempotency = found  # the same place as the API's, so that it is released if another node is to answer
    return None


@blueprint.after_request
def _end(response: Response) -> Response:
    claim: KeyClaim | None = g.pop("idempotency", None)
    if claim is not None and response.status_code == 303:
        flashes = json.dumps(_flashes()[g.flashes_before :])
        services().idempotency.keep(claim, StoredAnswer(303, flashes, response.location))
    elif claim is not None:
        services().idempotency.release(claim)
    return response


def _only_asks() -> bool:
    """Tell if the button was one that changes nothing; such a form claims no key, which would be a write to etcd."""
    return request.form.get("wish", CREATE) != CREATE


def _claim(key: str) -> KeyClaim | StoredAnswer:
    """The right to carry out the form, or where it led when it was."""
    mark, deadline = _mark(), time.monotonic() + PATIENCE
    first: FirstStillRuns | None = None
    while first is None or time.monotonic() < deadline:
        try:
            # Sent again with something else in it, it is another form.
            return services().idempotency.begin(f"form {key} {mark}", mark)
        except FirstStillRuns as exc:
            first = exc
        except Unavailable:
            if first is None:  # otherwise it still runs, as far as is known
                raise
        time.sleep(_LOOK_EVERY)
    raise FirstStillRuns(
        Text("this form was sent before and is still being carried out; reload this page to see the outcome")
    ) from first


def _mark() -> str:
    fields = [field for field in request.form.items(multi=True) if field[0] != "csrf_token"]
    query = request.query_string.decode("latin-1")
    return fingerprint(request.method, request.path, query, json.dumps(fields).encode())


def _again(first: StoredAnswer) -> Response:
    """To where the first one led, with what it told: a browser that was sent on by two presses knows only the last."""
    waiting = _flashes()
    for category, message in json.loads(first.body):
        if (category, message) not in waiting:
            flash(message, category)
    flash(_("this form was sent before and is not carried out again"), "info")
    return redirect(first.location or "/", 303)


def _flashes() -> list[tuple[str, str]]:
    """Return the notices that the next page is going to show."""
    return [(category, message) for category, message in session.get("_flashes", ())]
