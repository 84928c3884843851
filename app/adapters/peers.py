"""HTTP to the gpudocks of other nodes."""

from contextlib import closing

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from app.errors import NodeCutOff, NodeUnreachable
from app.model.messages import Text
from app.ports import Message, Reply

_CONNECT = 3.0
# Above the longest operation, as gunicorn's and nginx's; and what a look may take.
_CHANGE, _LOOK = 1260.0, 20.0
_SAFE = ("GET", "HEAD", "OPTIONS")


class HttpPeers:
    """Implements `ports.Peers`; connects for each request anew, and never by a proxy.

    A session of requests would add what the caller did not send, and take a redirection that broke off for a whole one.
    """

    def ask(self, node: str, url: str, message: Message) -> Reply:
        """Send the request; redirections are answers too."""
        with closing(HTTPAdapter()) as adapter:
            try:
                limits = _CONNECT, _LOOK if message.method in _SAFE else _CHANGE
                answer = adapter.send(_prepared(url + message.target, message), timeout=limits)
                body = answer.content
            except requests.RequestException as exc:
                raise _failure(node, url, message, exc) from exc
        return Reply(answer.status_code, tuple(answer.raw.headers.iteritems()), body)


def _prepared(url: str, message: Message) -> requests.PreparedRequest:
    headers = {**dict(message.headers), "Accept-Encoding": "identity"}
    request = requests.Request(message.method, url, headers, data=message.body).prepare()
    # With its dots resolved a path would name something else than what the caller was let in for.
    request.url = url
    return request


def _failure(node: str, url: str, message: Message, exc: requests.RequestException) -> Exception:
    if message.method in _SAFE or _never_sent(exc):
        refusal = Text(
            "node {node} does not answer at {url}; nothing was changed, see to that host", node=node, url=url
        )
        return NodeUnreachable("node", refusal)
    unknown = Text(
        "node {node} was cut off before it answered: the request may have been done, or is still; "
        "see at GET /api/v1/operations what became of it before you repeat it",
        node=node,
    )
    return NodeCutOff("node", unknown)


def _never_sent(exc: requests.RequestException) -> bool:
    """Tell if there was no connection to send anything on."""
    cause = exc.args[0] if exc.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(exc, requests.exceptions.InvalidURL) or isinstance(
        reason, ConnectTimeoutError | NewConnectionError
    )
