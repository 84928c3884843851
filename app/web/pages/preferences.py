"""Preferences of the reader, kept in cookies: a language, and light or dark. Links choose it: `?lang=…`, `?theme=…`."""

from urllib.parse import urlencode

from flask import Flask, redirect, request
from flask_babel import Babel
from werkzeug.wrappers import Response

# The tags that HTML and HTTP know, and what Babel, and so our catalogues, call these languages.
LANGUAGES = {"en": "en", "zh-CN": "zh_Hans_CN"}
THEMES = ("auto", "light", "dark")
_ACCEPTED = {"en": "en", "zh": "zh-CN", "zh-CN": "zh-CN"}
_CHOICES = {"lang": LANGUAGES, "theme": THEMES}
_SECONDS = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    """Have pages speak the reader's language."""
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    Babel(app, locale_selector=lambda: LANGUAGES[language()])
    app.before_request(_choose)
    app.context_processor(lambda: {"language": language(), "theme": theme(), "preferring": preferring})


def language() -> str:
    """The tag of the language: the one chosen, else the one that the browser likes best."""
    chosen = request.cookies.get("lang")
    if chosen in LANGUAGES:
        return chosen
    return _ACCEPTED[request.accept_languages.best_match(_ACCEPTED, "en")]


def theme() -> str:
    """One of THEMES; auto follows the system."""
    chosen = request.cookies.get("theme")
    return chosen if chosen in THEMES else "auto"


def preferring(**choice: str) -> str:
    """The address of this page that makes a choice: `lang` or `theme`."""
    return _address(request.args.to_dict(flat=False) | {name: [value] for name, value in choice.items()})


def _choose() -> Response | None:
    """Note a choice made in the address, and go on to the page without it."""
    chosen = {name: request.args[name] for name in _CHOICES if request.args.get(name) in _CHOICES[name]}
    if request.method != "GET" or not chosen or request.path.startswith("/api/"):
        return None
    rest = {name: values for name, values in request.args.lists() if name not in _CHOICES}
    response = redirect(_address(rest))
    for name, value in chosen.items():
        response.set_cookie(name, value, max_age=_SECONDS, samesite="Lax", secure=request.is_secure, httponly=True)
    return response


def _address(query: dict[str, list[str]]) -> str:
    # Two slashes at the beginning would be another host.
    path = "/" + request.path.lstrip("/")
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
