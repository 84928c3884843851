"""The pages for people: the same services as the API, rendered as HTML. JavaScript makes them nicer, none is needed."""

from flask import Blueprint, Flask

from app.web import last_known_cache
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
    volumes,
)

blueprint = Blueprint("pages", __name__)
for part in (overview, gpus, containers, volumes, images, operations, session):
    part.register(blueprint)
filters.register(blueprint)
form_idempotency.register(blueprint)


def init_app(app: Flask) -> None:
    """Add the pages to the app, in the language and the colours that their reader prefers."""
    last_known_cache.init_app(app)
    command_results.init_app(app)
    preferences.init_app(app)
    app.register_blueprint(blueprint)
