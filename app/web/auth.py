"""Access: the one place that decides who may call, for the API and the pages alike."""

import hashlib
import hmac
import re
from pathlib import Path
from typing import cast

from flask import Flask, Response, current_app, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.wrappers import Response as WerkzeugResponse

from app.config import Config
from app.errors import InvalidRequest, Unauthenticated
from app.model.messages import Text
from app.operations.requester import set_requester_name
from app.web import auth_loopback

# What a page's login opens of the API. The rest wants the token, so that no other site can make use of a login.
_DOCUMENTS = ("/api/docs", "/api/openapi.json")
_OPEN = ("/healthz", "/readyz", "/login")
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_OPERATORS = "gpudock_operators"
_SESSION_SECONDS = 12 * 3600
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms, and be taken for another site.
    "Referrer-Policy": "same-origin",
}


class Operator(UserMixin):  # type: ignore[misc]  # flask-login is untyped
    """A person who knows a token, with the name that it has, None for the one without. All may do the same."""

    def __init__(self, name: str | None, token: str) -> None:
        self.id = "operator" if name is None else f"operator {name}"
        self.name = name
        self.token = token


class Sessions(SecureCookieSessionInterface):
    """Sessions in a signed cookie that, set over https, never travels without."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Tell whether this request came over https."""
        return request.is_secure


def init_app(app: Flask, config: Config) -> None:
    """Check every request before its view: by token or login, or without either but on loopback only."""
    app.extensions[_OPERATORS] = [Operator(*each) for each in config.all_tokens] if config.auth else []
    app.secret_key = _secret_key(config)
    app.session_interface = Sessions()
    # A browser shares cookies among all ports of a host: the name must not be everybody's `session`.
    app.config.update(SESSION_COOKIE_NAME="gpudock", SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_HTTPONLY=True)
    app.config.update(PERMANENT_SESSION_LIFETIME=_SESSION_SECONDS, WTF_CSRF_TIME_LIMIT=None)
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False)  # done below, after the question who calls
    LoginManager(app).user_loader(_user)
    csrf = CSRFProtect(app)

    @app.before_request
    def decide() -> WerkzeugResponse | None:
        refusal = _refusal()
        if refusal is None and not _is_api():
            _check_form(csrf)
        return refusal

    app.after_request(_add_headers)


def login_needed() -> bool:
    """Tell whether callers must know a token."""
    return bool(_operators())


def log_in(given: str) -> bool:
    """Log this browser in as whoever has the token that it gave; whether anybody has."""
    operator = _with_token(given)
    if operator is None:
        return False
    session.clear()
    return cast(bool, login_user(operator))


def log_out() -> None:
    """End this browser's login."""
    logout_user()
    session.clear()


def local_path(text: str) -> str:
    """`text` if it is a path on this site, otherwise "/": a crafted link shall send nobody elsewhere."""
    return text if _LOCAL_PATH.fullmatch(text) else "/"


def _refusal() -> WerkzeugResponse | None:
    """None if the request may go on; the way to the login for a page; Unauthenticated or Forbidden otherwise."""
    if not login_needed():
        auth_loopback.check(request)
    elif _is_api():
        _check_api()
    elif not (request.path in _OPEN or request.endpoint == "static"):
        return _check_page()
    return None


def _check_page() -> WerkzeugResponse | None:
    if not current_user.is_authenticated:
        target = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(url_for("pages.login", next=target))
    set_requester_name(current_user.name)
    return None


def _check_api() -> None:
    given = request.authorization
    if given is not None and given.type == "bearer" and (operator := _with_token(given.token or "")):
        return set_requester_name(operator.name)
    if request.path in _DOCUMENTS and request.method in ("GET", "HEAD") and current_user.is_authenticated:
        return None
    raise Unauthenticated(
        Text(
            "send the header `Authorization: Bearer TOKEN` with the token of GPUDOCK_TOKEN, or yours of GPUDOCK_TOKENS"
        )
    )


def _check_form(csrf: CSRFProtect) -> None:
    try:
        csrf.protect()
    except CSRFError as exc:
        raise InvalidRequest(
            Text("the form is out of date or came from another site; reload the page and try again")
        ) from exc


def _is_api() -> bool:
    return request.path.startswith("/api/")


def _operators() -> list[Operator]:
    return cast(list[Operator], current_app.extensions[_OPERATORS])


def _with_token(given: str) -> Operator | None:
    # All are compared, so that the time it takes does not tell which one it was.
    found = [each for each in _operators() if hmac.compare_digest(given.encode(), each.token.encode())]
    return found[0] if found else None


def _user(identity: str) -> Operator | None:
    return next((each for each in _operators() if each.id == identity), None)


def _secret_key(config: Config) -> bytes:
    """The same in every worker, on every node and after every restart; a change of the tokens ends all logins.

    It is slow to compute since the login page hands a signed cookie to anybody, by which tokens could be guessed
    offline. Without a token it only protects forms on loopback, so a secret that the whole host may read will do.
    """
    secret = repr((config.token, sorted(config.tokens))) if config.all_tokens else _machine_id()
    salt = f"gpudock session {config.prefix}"
    return hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32)


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except FileNotFoundError:  # in many containers
        return "no machine id"


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
