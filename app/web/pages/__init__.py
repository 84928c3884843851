"""The pages for people: the same services as the API, rendered as HTML. JavaScript makes them nicer, none is needed."""

from flask import Flask

from app.web import last_known_cache

# Importing a module adds its routes, filters and hooks to the blueprint.
from app.web.pages import (
    command_results,
    containers,
    filters,
    form_idempotency,
    gpus,
    images,
    operations,
    overview,
    preferences,
    session,
    tables,
    volumes,
)
from app.web.pages.blueprint import blueprint

__all__ = [
    "containers",
    "filters",
    "form_idempotency",
    "gpus",
    "images",
    "init_app",
    "operations",
    "overview",
    "session",
    "tables",
    "volumes",
]


def init_app(app: Flask) -> None:
    """Add the pages to the app, in the language and the colours that their reader prefers."""
    last_known_cache.init_app(app)
    command_results.init_app(app)
    preferences.init_app(app)
    app.register_blueprint(blueprint)
