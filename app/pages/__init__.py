"""The pages for people: the same services as the API, rendered as HTML without any JavaScript."""

from flask import Blueprint

from app.pages import containers, filters, gpus, operations, overview, session, volumes

blueprint = Blueprint("pages", __name__)
for part in (overview, gpus, containers, volumes, operations, session):
    part.register(blueprint)
filters.register(blueprint)
