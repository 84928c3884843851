"""The pages for people: the same services as the API, rendered as HTML. JavaScript makes them nicer, none is needed."""

from flask import Blueprint, Flask

from app.pages import (
    containers,
    filters,
    gpus,
    images,
    known,
    once,
    operations,
    overview,
    preferences,
    runs,
    session,
    volumes,
)

blueprint = Blueprint("pages", __name__)
for part in (overview, gpus, containers, volumes, images, operations, session):
    part.register(blueprint)
filters.register(blueprint)
once.register(blueprint)


def init_app(app: Flask) -> None:
    """Add the pages to the app, in the language and the colours that their reader prefers."""
    known.init_app(app)
    runs.init_app(app)
    preferences.init_app(app)
    app.register_blueprint(blueprint)
