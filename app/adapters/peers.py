"""HTTP to the gpudocks of other nodes."""

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from app.errors import NodeCutOff, NodeUnreachable
from app.ports import Message, Reply

_CONNECT = 3.0
# Above the longest operation, as gunicorn's and nginx's; and what a look may take.
_CHANGE, _LOOK = 1260.0, 20.0
_SAFE = ("GET", "HEAD", "OPTIONS")


class HttpPeers:
    """Implements `ports.Peers`; connects for each request anew, and never by a proxy."""

    def ask(self, node: str, url: str, message: Message) -> Reply:
        """Send a request to the gpudock of `node` at `url`, and return its answer. Raises NodeUnreachable, NodeCutOff.

        Redirections are answers too.
        """
        with requests.Session() as session:
            session.trust_env = False
            # Its own defaults would be added to what the caller sent.
            session.headers.clear()
            try:
                answer = session.request(
                    message.method,
                    url + message.target,
                    headers={**dict(message.headers), "Accept-Encoding": "identity"},
                    data=message.body,
                    timeout=(_CONNECT, _LOOK if message.method in _SAFE else _CHANGE),
                    allow_redirects=False,
                )
            except requests.RequestException as exc:
                raise _failure(node, url, message, exc) from exc
        return Reply(answer.status_code, tuple(answer.raw.headers.iteritems()), answer.content)


def _failure(node: str, url: str, message: Message, exc: requests.RequestException) -> Exception:
    if message.method in _SAFE or _never_sent(exc):
        return NodeUnreachable("node", f"node {node} does not answer at {url}; nothing was changed, see to that host")
    return NodeCutOff(
        "node",
        f"node {node} was cut off before it answered: the request may have been done, or is still; "
        "see at GET /api/v1/operations what became of it before you repeat it",
    )


def _never_sent(exc: requests.RequestException) -> bool:
    """Whether there was no connection to send anything on."""
    cause = exc.args[0] if exc.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(exc, requests.exceptions.InvalidURL) or isinstance(
        reason, ConnectTimeoutError | NewConnectionError
    )
