"""Access without a login: only for callers on this machine, and not for web pages that use their browser."""

import ipaddress
from urllib.parse import urlsplit

from flask import Request

from app.errors import Forbidden
from app.model.messages import Text

_PROXY_HEADERS = ("Forwarded", "Via", "X-Real-Ip")
_SAFE = ("GET", "HEAD", "OPTIONS")


def check(request: Request) -> None:
    """Forbidden unless the request comes from this machine directly, and from no foreign web page."""
    if not is_loopback(request.remote_addr or ""):
        raise Forbidden(Text("without a token only this machine may call; set GPUDOCK_TOKEN to allow others"))
    # Behind a proxy every caller seems local; the header that it adds is the only sign of it.
    if forwarded := sorted(name for name, _ in request.headers if _by_proxy(name)):
        raise Forbidden(
            Text("the request came through a proxy ({header}); set GPUDOCK_TOKEN to allow that", header=forwarded[0])
        )
    # A foreign page can give its own name our address (DNS rebinding), but it cannot hide that name.
    if not names_loopback(f"//{request.host}"):
        raise Forbidden(
            Text("the host in the address is not this machine's loopback; use localhost or set GPUDOCK_TOKEN")
        )
    origin = request.headers.get("Origin")
    if request.method not in _SAFE and origin is not None and not _same(origin, request.host):
        raise Forbidden(Text("the request was sent by a page of another site"))


def is_loopback(address: str) -> bool:
    """Tell whether an IP address, perhaps an IPv4 one written as IPv6, is a loopback address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def names_loopback(url: str) -> bool:
    """Tell whether the host of a URL is `localhost` or a loopback address."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or is_loopback(host)


def _by_proxy(header: str) -> bool:
    return header.title() in _PROXY_HEADERS or header.title().startswith("X-Forwarded-")


def _same(origin: str, host: str) -> bool:
    return origin.lower().partition("://")[2] == host.lower()
