"""Requests for what another node has: sent there as they are, and answered with its answer.

What a path names is looked up before its view runs, so that nothing of this node is asked about what is another's.
While etcd is down a page is asked for where its subject was last: that node knows best how it was.
Where a use case finds out itself that another node is to do it (a creation, a repeated request), it raises
OnAnotherNode, which is not an answer but comes here too.
"""

import re
from collections.abc import Callable
from urllib.parse import quote, urlencode

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue

from app.cluster.locator import KINDS
from app.errors import DomainError, NodeUnreachable, OnAnotherNode, Unavailable
from app.model.messages import Text
from app.ports import Message, Reply
from app.web.http_errors import domain_error, wants_json
from app.web.last_known_cache import last_known
from app.web.request_scope import FORWARDED, forwarded, services

_NAMED = re.compile(rf"/({'|'.join(KINDS)})/<(?:\w+:)?(\w+)>")
_READS = ("GET", "HEAD")
# Of the connection and not of the request (RFC 9110, 7.6.1); or checked here already; or what a proxy has added.
_NOT_SENT = re.compile(
    r"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|content-length|accept-encoding|origin"
    r"|forwarded|via|x-real-ip|x-forwarded-.*|x-request-id",
    re.IGNORECASE,
)
_NOT_RETURNED = {
    *("connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "server", "date", "via"),
    "x-request-id",
}
# What is quoted already stays as it is.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_FORM = "application/x-www-form-urlencoded"


def init_app(app: Flask) -> None:
    """Watch every request. To be called after the access check and before whatever acts upon a request."""
    app.before_request(_send_on)
    app.register_error_handler(OnAnotherNode, _answer)


def _send_on() -> Response | None:
    """The answer of the node that has what the path names, if that is another one."""
    named = _NAMED.search(request.url_rule.rule) if request.url_rule else None
    if forwarded():
        _check_address()
    if named is None or forwarded():
        return None
    try:
        home = _home(named[1], (request.view_args or {})[named[2]])
        return None if home is None else _forward(*home)
    except NodeUnreachable as exc:
        if request.method in _READS:  # what it told last is better than nothing
            g.unreachable = exc
            return None
        raise


def _home(kind: str, name: str) -> tuple[str, str] | None:
    """The other node whose it is and where that answers; None if it is this one's, or nobody's.

    For a page the one whose it was when etcd was asked last, if that is down; then `g.etcd_failure` is set.
    """
    if request.method not in _READS or wants_json(request.path):
        return _found(kind, name)
    try:
        home = _found(kind, name)
    except Unavailable as exc:
        if exc.part != "etcd":
            raise
        g.etcd_failure = exc
        known = last_known().recall(("home", kind, name))
        return known[0] if known else None
    last_known().remember(("home", kind, name), home)
    return home


def _found(kind: str, name: str) -> tuple[str, str] | None:
    node = services().locator.elsewhere(kind, name)
    return None if node is None else (node, services().forwarder.url(node))


def _check_address() -> None:
    here, wanted = services().config.node, request.headers[FORWARDED]
    if wanted != here:
        raise NodeUnreachable(
            "node",
            Text(
                "node {here} answers where node {wanted} should; see GPUDOCK_NODE_URL there. Nothing was changed",
                here=here,
                wanted=wanted,
            ),
        )


def _answer(error: OnAnotherNode) -> ResponseReturnValue:
    """The answer of the node that is to do it; once it has been sent there that this is not so, the error itself."""
    if forwarded():
        return domain_error(error)
    if silent := g.pop("unreachable", None):  # it has been asked, perhaps for long
        return domain_error(silent)
    # Whoever does it keeps the key: if it is repeated, only that node can tell whether the first one still runs.
    if claim := g.pop("idempotency", None):
        services().idempotency.release(claim)
    try:
        return _forward(error.node, services().forwarder.url(error.node))
    except DomainError as exc:
        show: Callable[[DomainError], ResponseReturnValue] = g.get("if_unreachable", domain_error)
        return show(exc)


def _forward(node: str, url: str) -> Response:
    return _returned(services().forwarder.forward(node, url, _message(node)))


def _message(node: str) -> Message:
    dropped = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = {n: value for n, value in request.headers if not (_NOT_SENT.fullmatch(n) or n.lower() in dropped)}
    body = request.get_data()
    if not body and request.form:  # whoever looked at the form has used the body up
        body, headers["Content-Type"] = urlencode(list(request.form.items(multi=True))).encode(), _FORM
    query = quote(request.query_string, safe=_PRINTABLE)
    target = quote(request.path) + (f"?{query}" if query else "")
    headers |= {FORWARDED: node, "X-Request-Id": g.request_id}
    return Message(request.method, target, tuple(headers.items()), body)


def _returned(reply: Reply) -> Response:
    response = Response(reply.body, reply.status)
    response.headers.clear()
    for name, value in reply.headers:
        if name.lower() not in _NOT_RETURNED:
            response.headers.add(name, _secured(value) if name.lower() == "set-cookie" else value)
    return response


def _secured(cookie: str) -> str:
    """A cookie of the other node, which does not know that the browser talks https with this one."""
    return f"{cookie}; Secure" if request.is_secure and "; secure" not in cookie.lower() else cookie
