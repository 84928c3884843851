"""The pages of containers: the list, one container with its versions, and a page for everything one can do with it."""

from flask import Blueprint

from app.web.pages import tables
from app.web.pages.containers import change, create, delete, detail, execute, image, listing, stop_restart


def register(blueprint: Blueprint) -> None:
    """Add the routes of this package."""
    for part in (tables, listing, create, detail, stop_restart, change, delete, image, execute):
        part.register(blueprint)
