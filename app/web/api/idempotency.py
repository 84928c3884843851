"""The header Idempotency-Key: a repeated POST or PATCH gets the answer of the first one."""

import re
from typing import Any

from apispec import BasePlugin
from flask import Flask, Response, g, request

from app import errors
from app.model.messages import Text
from app.state.idempotency import KeyClaim, StoredAnswer, fingerprint
from app.web.api.async_requests import wants_preview
from app.web.request_scope import services

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[ -~]{1,255}")
# They say that something else is under way just now, and to try again: that is no answer to keep for a day.
_PASSING = {errors.OperationRunning.code, errors.OperationStuck.code, errors.Fenced.code}
_REFUSALS = {"409": (errors.FirstStillRuns, errors.AnswerNotKept), "422": (errors.KeyReused,)}
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "description": "Printable ASCII of your choice: for 24 hours the same request with the same key gets the first "
    "one's answer, with `Idempotency-Replayed: true`, and is not done again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


class Documented(BasePlugin):
    """Documents the header and its refusals at every POST and PATCH."""

    def operation_helper(self, path: str | None = None, operations: dict[Any, Any] | None = None, **_: Any) -> None:
        """Complete the operations of one path."""
        for operation in [found for method, found in (operations or {}).items() if method in ("post", "patch")]:
            operation.setdefault("parameters", []).append(_PARAMETER)
            operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}
            for status, kinds in _REFUSALS.items():
                _add_refusals(operation["responses"], status, kinds)


def init_app(app: Flask) -> None:
    """Watch every request. To be called after the access check, so that a stranger learns and claims nothing."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> Response | None:
    key = request.headers.get(HEADER)
    if key is None or not _concerned():
        return None
    if not _KEY.fullmatch(key):
        raise errors.InvalidRequest(Text("{header} must be 1 to 255 printable ASCII characters", header=HEADER))
    mark = fingerprint(request.method, request.path, request.query_string.decode("latin-1"), request.get_data())
    found = services().idempotency.begin(key, mark)
    if isinstance(found, StoredAnswer):
        return _replay(found)
    g.idempotency = found
    return None


def _end(response: Response) -> Response:
    claim: KeyClaim | None = g.pop("idempotency", None)
    if claim is not None and _to_keep(response):
        answer = StoredAnswer(response.status_code, response.get_data(as_text=True), response.location)
        services().idempotency.keep(claim, answer)
    elif claim is not None:
        services().idempotency.release(claim)
    return response


def _concerned() -> bool:
    changes_something = request.method in ("POST", "PATCH") and request.path.startswith("/api/v1/")
    return changes_something and not wants_preview()


def _to_keep(response: Response) -> bool:
    passing = response.status_code == 409 and response.get_json()["code"] in _PASSING
    return response.status_code < 500 and not passing


def _replay(answer: StoredAnswer) -> Response:
    location = {"Location": answer.location} if answer.location else {}
    headers = {"Idempotency-Replayed": "true", **location}
    return Response(answer.body, answer.status, headers, mimetype="application/json")


def _add_refusals(responses: Any, status: str, kinds: tuple[type[errors.DomainError], ...]) -> None:
    known = responses.get(status)
    # Where a view's own parser may refuse, flask-smorest has put the name of a shared response.
    described = [known["description"]] if isinstance(known, dict) else []
    texts = [*described, *(f"{kind.code}: {kind.title}" for kind in kinds)]
    responses[status] = {**responses["400"], "description": "; ".join(texts)}
