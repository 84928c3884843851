"""gpudock: the control plane of a GPU server."""

from flask import Flask

from app import bootstrap, cli, config, logs
from app.ports import Backends
from app.web import api, auth, forwarding, http_errors, pages, request_scope

MAX_BODY = 1 << 20


def create_app(settings: config.Config | None = None, parts: Backends | None = None) -> Flask:
    """The WSGI app for `settings` (default: from the environment) over `parts` (default: the real ones).

    Connects to nothing yet, so it starts while a part is down. Raises ConfigError for a bad setting.
    """
    logs.configure()
    settings = settings or config.load()
    parts = parts or bootstrap.build_backends(settings)
    app = Flask("app")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the contract's order: code, msg, data
    app.extensions["gpudock"] = bootstrap.build_services(settings, parts)
    request_scope.init_app(app)
    http_errors.init_app(app)
    auth.init_app(app, settings)
    forwarding.init_app(app)
    api.init_app(app)
    pages.init_app(app)
    cli.init_app(app)
    return app
