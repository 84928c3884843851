"""From errors to HTTP: one table of statuses, JSON for the API, HTML for the pages, one log line each."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from app import errors
from app.model.messages import Text

log = structlog.get_logger()

STATUS: dict[type[errors.DomainError], int] = {
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.CommandRefused: 422,
    errors.CommandTimeout: 422,
    errors.StartRefused: 422,
    errors.KeyReused: 422,
    errors.RegistryUnreachable: 503,
    errors.OperationFailed: 500,
    errors.Unavailable: 503,
    errors.UnreadableRecord: 500,
    errors.DomainError: 500,
}

# What the HTTP layer refuses before any of ours does; other statuses get 2000.
HTTP_CODES = {400: 1002, 404: 2010, 405: 2060, 413: 2061, 422: 1002}

# What werkzeug says of requests that pages get, too.
_OF_WERKZEUG: dict[str, str] = {
    text: text
    for text in (
        Text("The browser (or proxy) sent a request that this server could not understand."),
        Text("The method is not allowed for the requested URL."),
    )
}


def status_of(error: errors.DomainError | type[errors.DomainError]) -> int:
    """The HTTP status of an error or error class: its own or that of its nearest ancestor in STATUS."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def code_table() -> dict[int, str]:
    """Every code with its meaning, for the OpenAPI document."""
    found = {2000: "unexpected failure", 2060: "method not allowed here", 2061: "body larger than 1 MB"}
    waiting: list[type[errors.DomainError]] = [errors.DomainError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind.title)
        waiting.extend(kind.__subclasses__())
    return dict(sorted(found.items()))


def wants_json(path: str) -> bool:
    """Tell whether a path belongs to programs; the others are pages."""
    return path.startswith("/api/") or path in ("/healthz", "/readyz")


def init_app(app: Flask) -> None:
    """Register the handlers; the one for HTTPException is the API's (flask-smorest registers its own)."""
    app.register_error_handler(errors.DomainError, domain_error)
    app.register_error_handler(Exception, unexpected_error)


def domain_error(error: errors.DomainError) -> tuple[WerkzeugResponse | str, int]:
    """Answer with a domain error's code, message and data."""
    log_failure(error)
    return answer(status_of(error), error.code, error.message, error.data, error), status_of(error)


def log_failure(error: errors.DomainError) -> None:
    """Log an error that is not the caller's, with everything that caused it: the caller is not told that."""
    if status_of(error) >= 500:
        log.error("request failed", request_id=g.request_id, causes=" <- ".join(_causes(error)))


def _causes(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__


def http_error(error: HTTPException) -> tuple[WerkzeugResponse | str, int, dict[str, str]]:
    """Answer with what werkzeug or the validation of parameters refused; validation errors become 400."""
    status = error.code or 500
    messages = getattr(error, "data", {}).get("messages")
    if status == 422:
        status = 400
    text = "; ".join(_flatten(messages)) if messages else _sentence(error)
    headers = {"Allow": error.get_response().headers["Allow"]} if status == 405 else {}
    return answer(status, HTTP_CODES.get(status, 2000), text, messages), status, headers


def unexpected_error(error: Exception) -> tuple[WerkzeugResponse | str, int]:
    """Answer to a defect of ours: the caller gets the request id, the log the traceback."""
    log.exception("defect", request_id=g.request_id, path=request.path, exc_info=error)
    text = Text("gpudock met a defect; give the operator the request id {request}", request=g.request_id)
    return answer(500, errors.DomainError.code, text, None), 500


def answer(
    status: int, code: int, message: str, data: Any, error: errors.DomainError | None = None
) -> WerkzeugResponse | str:
    """The error's body: the contract's envelope, or a page."""
    if wants_json(request.path):
        response: Response = jsonify(code=code, msg=message, data=data, requestId=g.request_id)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    title = HTTPStatus(status).phrase
    return render_template(
        "error.html", status=status, title=title, message=message, error=error, request_id=g.request_id
    )


def _sentence(error: HTTPException) -> str:
    if error.code == 413:
        return Text("the body is larger than 1 MB; send less")
    if error.code == 404:
        return Text("there is nothing at {path}; see /api/docs", path=request.path[:200])
    said = error.description or "the request cannot be answered"
    return _OF_WERKZEUG.get(said, said)


def _flatten(messages: Any, path: str = "") -> list[str]:
    """Validation messages as `json.gpuCount: …`, whatever their nesting."""
    if isinstance(messages, dict):
        return [line for key, value in messages.items() for line in _flatten(value, f"{path}.{key}".lstrip("."))]
    if isinstance(messages, list):
        return [line for value in messages for line in _flatten(value, path)]
    return [f"{path.removeprefix('json.').removeprefix('query.')}: {messages}"]
